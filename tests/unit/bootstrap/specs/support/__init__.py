"""What the tests of specs share."""
