"""Which node an instance is, how it joins, and who has a vote; pure."""
