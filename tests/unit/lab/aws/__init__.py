"""Tests of lab/aws."""
