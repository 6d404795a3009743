"""Tests of chalicelib/events."""
