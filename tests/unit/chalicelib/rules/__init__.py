"""Tests of the pure rules: tables of event and cluster against the exact plan."""
