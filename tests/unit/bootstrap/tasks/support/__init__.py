"""What the tests of the tasks share."""
