"""Tests of bootstrap/specs."""
