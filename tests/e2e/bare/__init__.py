"""On the lab without AWS that they share: the agent by itself, and the lab itself."""
