"""Manual calls: what people ask, order and read."""
