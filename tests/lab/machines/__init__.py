"""Hosts that are machines of their own: network, processes, engine, images."""
