"""What the tests of the rules for nodes share."""
