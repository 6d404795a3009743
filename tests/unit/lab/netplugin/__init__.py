"""The network plugin's stand-in."""
