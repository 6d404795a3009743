"""Tests of bootstrap/planning."""
