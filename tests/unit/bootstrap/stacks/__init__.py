"""Tests of bootstrap/stacks."""
