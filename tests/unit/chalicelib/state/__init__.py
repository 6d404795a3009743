"""Tests of chalicelib/state."""
