"""The two temporary rewrites that are marked in a service's own spec; pure."""
