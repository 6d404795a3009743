"""Tests of chalicelib/admin."""
