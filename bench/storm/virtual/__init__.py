"""Storms in virtual time: the same handlers, with AWS's latencies and quotas as parameters."""
