"""The lab's swarm: formed, furnished with services, and asked."""
