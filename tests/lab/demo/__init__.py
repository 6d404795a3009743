"""The demo: a Spot interruption under load, watched, judged and reported: python -m tests.lab.demo."""
