"""What happened in a lab: watched, counted, written down and searched."""
