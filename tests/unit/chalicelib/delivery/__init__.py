"""Tests of chalicelib/delivery."""
