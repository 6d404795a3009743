"""The outside world in memory, for the tests of the handlers."""
