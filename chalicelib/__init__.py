"""The Lambda side of Swarmkeeper; `pipeline.py` tells the whole flow."""
