"""Tests of bootstrap/rebalancing."""
