"""Tests of lab/endpoint."""
