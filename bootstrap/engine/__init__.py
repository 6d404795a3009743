"""The engine API: one client, and what it answers as values."""
