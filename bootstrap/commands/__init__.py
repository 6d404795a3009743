"""Commands for people on a host, with options of their own."""
