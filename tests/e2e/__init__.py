"""The product on real hosts: tests that run on the lab."""
