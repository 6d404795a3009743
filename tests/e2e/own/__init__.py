"""Each on a lab of its own: it loses the quorum, begins with bare hosts, or has one manager."""
