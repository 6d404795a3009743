"""Tests of bootstrap/balancer."""
