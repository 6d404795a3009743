"""Empty nodes before their end without a dip: plan, label and report; pure."""
