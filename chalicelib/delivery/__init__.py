"""Get commands to hosts: batch them, choose a manager, send, and see that the host begins."""
