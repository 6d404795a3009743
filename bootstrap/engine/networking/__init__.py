"""The engine's managed plugins and its networks: how they are made, listed and removed."""
