"""What the tests of the machine share."""
