"""Unit tests, and the lab with its tests."""
