"""Where Swarm may put tasks, and how many fit; pure."""
