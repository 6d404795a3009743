"""Get commands to hosts: batch them, choose a manager, send, and stay until one has begun."""
