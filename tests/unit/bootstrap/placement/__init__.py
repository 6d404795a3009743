"""Tests of bootstrap/placement."""
