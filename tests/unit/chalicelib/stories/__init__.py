"""Whole stories through the pipeline, in memory."""
