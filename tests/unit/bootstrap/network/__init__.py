"""The plugin, networks and the routing mesh."""
