"""Tests of chalicelib/rules/nodes."""
