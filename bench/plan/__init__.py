"""Rebalances of growing swarms, planned in one process."""
