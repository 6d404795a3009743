"""Errors that end a task, with their exit status. Their texts never hold a join token."""

from __future__ import annotations

import re

NOT_DONE, BAD_INPUT, UNAVAILABLE = 1, 64, 69  # exit status after sysexits.h: EX_USAGE, EX_UNAVAILABLE
_TAG = re.compile(r"<[^<>]*>")
_TOKEN = re.compile(r"SWMTKN-[0-9A-Za-z-]*")


class AgentError(Exception):
    """A task cannot do its work; the text is one line that says why and what to do."""

    def __init__(self, text: str) -> None:
        super().__init__(redacted(" ".join(text.split())))


def redacted(text: str) -> str:
    """Take any join token out of the text: an engine may repeat what it was given."""
    return _TOKEN.sub("(a join token)", text)


class EngineError(AgentError):
    """The engine refused or did not answer."""


class NotManagerError(EngineError):
    """This host is no manager of a swarm."""


class RefusedError(EngineError):
    """The engine answered, and said no to this one request: others may still be granted."""


class ConflictError(RefusedError):
    """Somebody else changed the object first: read it again."""


def refusal(what: str, why: str) -> EngineError:
    """Choose the error for an engine that would not do ``what``, from its own words ``why``.

    A proxy before its socket may answer with a page of HTML.
    """
    why = _TAG.sub(" ", why) if "<html" in why.lower() else why
    if "out of sequence" in why:
        return ConflictError(f"could not {what}: it was changed meanwhile")
    if "not a swarm manager" in why:
        return NotManagerError(f"could not {what}: {why}")
    return RefusedError(f"the engine refused to {what}: {why}")
