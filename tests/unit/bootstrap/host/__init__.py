"""Tests of bootstrap/host."""
