"""The stacks that the agent brings along, and how it deploys them."""
