"""Helpers of the unit tests that belong to no single room."""
