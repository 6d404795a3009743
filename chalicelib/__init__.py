"""The Lambda side of Swarmkeeper; the docstring of `pipeline.py` has the whole flow."""
