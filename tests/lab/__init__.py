"""A lab of real hosts with a local AWS, and the tests that run on it: python -m tests.lab --help."""
