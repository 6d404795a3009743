"""Many Spot hosts are warned at once."""
