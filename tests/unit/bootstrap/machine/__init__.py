"""Tests of bootstrap/machine/."""
