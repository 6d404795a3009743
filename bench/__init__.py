"""Measurements on the lab, each against what users would do without Swarmkeeper."""
