"""The lab's commands, for people and programs."""
