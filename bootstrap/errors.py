"""What keeps a task from its work, with its exit status. No text of an error ever holds a join token."""

from __future__ import annotations

import re

NOT_DONE, BAD_INPUT, UNAVAILABLE = 1, 64, 69  # exit status after sysexits.h: EX_USAGE, EX_UNAVAILABLE
_TOKEN = re.compile(r"SWMTKN-[0-9A-Za-z-]*")


class AgentError(Exception):
    """A task cannot do its work; the text is one line that says why and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(redacted(text))


def redacted(text: str) -> str:
    """The text without any join token, whole or cut off: an engine may repeat what it was given."""
    return _TOKEN.sub("(a join token)", text)
