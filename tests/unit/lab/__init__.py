"""The lab's own parts that need no root: its AWS endpoint, its events, its journal."""
