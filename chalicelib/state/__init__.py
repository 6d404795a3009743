"""What is known: the records of a cluster, as immutable values."""
