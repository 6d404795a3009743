"""From ``cluster.yaml`` to the description of a cluster; runs where you deploy, never on a host."""
