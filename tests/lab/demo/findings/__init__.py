"""What was observed, computed into facts and verdicts; pure."""
