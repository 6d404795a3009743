"""Rules of the schedule: what no event reports, found by comparing records with EC2 and the swarm."""
