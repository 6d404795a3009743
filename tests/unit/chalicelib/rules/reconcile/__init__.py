"""Tests of chalicelib/rules/reconcile."""
