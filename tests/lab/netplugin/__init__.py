"""A stand-in for the network plugin Weave Net: a true managed plugin, run by the hosts' engines."""
