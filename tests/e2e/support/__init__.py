"""What tests on real hosts share: labs, and how they are found and left."""
