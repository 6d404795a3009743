"""What handlers may do, against what they call."""
