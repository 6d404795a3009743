"""Rules of the schedule: what no event told, found by comparing records with EC2 and the swarm."""
