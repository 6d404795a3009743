"""Systems Manager's Run Command, which really runs scripts in hosts."""
