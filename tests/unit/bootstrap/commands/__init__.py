"""Tests of bootstrap/commands/."""
