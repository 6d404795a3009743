"""On the deployed lab that they share: events, handlers and agents together."""
