"""What the tests of the network share."""
