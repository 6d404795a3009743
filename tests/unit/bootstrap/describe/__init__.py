"""Tests of the room ``describe``."""
