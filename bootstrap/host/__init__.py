"""This host: its instance, its daemon, its parameters."""
