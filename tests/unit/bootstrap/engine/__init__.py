"""Tests of bootstrap/engine."""
