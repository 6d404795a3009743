"""Tests of bootstrap/evacuation."""
