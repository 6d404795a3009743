"""The machine below an engine: what it is, whether it can be a node, and how it gets its engine."""
