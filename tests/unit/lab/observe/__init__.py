"""Tests of lab/observe."""
