"""Tests of lab/demo."""
