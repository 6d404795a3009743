"""Tests of lab/machines."""
