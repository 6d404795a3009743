"""How tasks are moved to where they should stand: waves, surges, rolling updates, and the lease."""
