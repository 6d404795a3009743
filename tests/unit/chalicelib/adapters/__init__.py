"""Tests of chalicelib/adapters."""
