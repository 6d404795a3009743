"""Swarms, engines and hosts in memory, for the tests of the agent."""
