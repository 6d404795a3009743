"""What handlers and hosts say to each other; travels inside the agent too."""
