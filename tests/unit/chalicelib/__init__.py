"""Tests of the Lambda side; the files mirror chalicelib."""
