"""Tests of bootstrap/tasks."""
