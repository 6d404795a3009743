"""Hand-made observations and scripts, for the tests of the lab's own parts."""
