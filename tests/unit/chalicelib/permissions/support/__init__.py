"""What the tests of permissions share."""
