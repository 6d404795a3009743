"""Where tasks should stand: from nodes, services and tasks to the fewest moves; pure."""
