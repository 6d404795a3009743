"""Tests of bootstrap/membership."""
