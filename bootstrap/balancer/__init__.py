"""The in-cluster operator ``service-balancer``, which needs no AWS."""
