"""The host side of Swarmkeeper, built into one agent-<hash>.pyz; `__main__.py` is its entry."""
