"""The network between the hosts: the plugin that makes it, the swarm's networks, the routing mesh."""
