"""Rules about one node: its way in, its way out, and what disturbs it in between."""
