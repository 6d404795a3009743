"""Tests of chalicelib/protocol."""
