"""A service spread evenly: ours against a forced update."""
