"""Rules about a cluster as a whole: its jobs, its rebalances, and what people order."""
