"""What a proxy in front of a function shall do: its spec, read strictly from JSON; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from bootstrap.errors import AgentError
from chalicelib.protocol.checks import show

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z", re.ASCII)
MAX_TEXT = 100_000  # characters of a spec


def number(default: float, least: float, most: float, *, whole: bool = False) -> Any:
    """Make a field that is a number within bounds."""
    return field(default=int(default) if whole else default, metadata={"bounds": (least, most, whole)})


def text(default: str, pattern: re.Pattern[str], wanted: str) -> Any:
    """Make a field that is a text."""
    return field(default=default, metadata={"pattern": pattern, "wanted": wanted})


@dataclass(frozen=True)
class Retry:
    """How often another task is asked, and how long before: a random time, at most 3, 9, 21 s by default.

    Before attempt n at most (2^n - 1) times ``first_s``, and never more than ``most_s``: Envoy's only growth.
    """

    attempts: int = number(3, 0, 20, whole=True)
    first_s: float = number(3, 0.001, 300)
    most_s: float = number(27, 0.001, 3600)


@dataclass(frozen=True)
class Ejection:
    """After so many errors one after the other a task is asked nothing for a while, which grows."""

    errors: int = number(5, 1, 1000, whole=True)
    look_s: float = number(1, 0.1, 300)
    for_s: float = number(30, 0.1, 3600)
    most_percent: int = number(50, 0, 100, whole=True)


@dataclass(frozen=True)
class Breaker:
    """What is more than this at a time is refused at once with 503, and counted."""

    connections: int = number(100, 1, 1_000_000, whole=True)
    waiting: int = number(100, 1, 1_000_000, whole=True)
    requests: int = number(100, 1, 1_000_000, whole=True)
    retries: int = number(10, 1, 1_000_000, whole=True)


@dataclass(frozen=True)
class Tracing:
    """Where spans are sent to, as Zipkin takes them; no host: nowhere."""

    host: str = text("", re.compile(rf"(?:{HOST.pattern})?\Z", re.ASCII), "a host name")
    port: int = number(9411, 1, 65535, whole=True)
    percent: float = number(100, 0, 100)


@dataclass(frozen=True)
class Spec:
    """One proxy: which function it stands before, and with which policy."""

    name: str = text("function", NAME, "a service's name: a small letter, then letters, digits, '-'")
    host: str = text("", re.compile(rf"(?:{HOST.pattern})?\Z", re.ASCII), "a host name")
    port: int = number(80, 1, 65535, whole=True)
    listen: int = number(80, 1, 65535, whole=True)
    timeout_s: float = number(60, 0.01, 3600)
    try_s: float = number(10, 0.01, 3600)
    retry: Retry = Retry()
    ejection: Ejection = Ejection()
    breaker: Breaker = Breaker()
    tracing: Tracing = Tracing()

    @property
    def upstream(self) -> str:
        """Return the host name of the function: its own, else its name."""
        return self.host or self.name


class SpecError(AgentError):
    """A spec cannot be taken; ``lines`` says all that is wrong with it, one line each."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(lines))


def read_spec(given: str) -> Spec:
    """Read a spec from JSON. Raises SpecError with everything that is wrong."""
    try:
        value = json.loads(given[:MAX_TEXT])
    except (ValueError, RecursionError):
        raise SpecError(["the spec is no JSON"]) from None
    wrong = list(_find_wrong(Spec, value, "")) or list(_find_contradictions(value))
    if wrong:
        raise SpecError(wrong)
    made: Spec = _make(Spec, value)
    return made


def _find_wrong(kind: type, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path.rstrip('.') or 'the spec'} must be an object, not {show(value)}"
        return
    known = {one.name: one for one in fields(kind)}
    for name, one in value.items():
        if name not in known:
            yield f"{path}{show(name).strip(chr(39))} is unknown; known are {', '.join(known)}"
        elif "bounds" in known[name].metadata:
            yield from _find_wrong_number(f"{path}{name}", one, known[name].metadata["bounds"])
        elif "pattern" in known[name].metadata:
            if not isinstance(one, str) or not known[name].metadata["pattern"].match(one):
                yield f"{path}{name} must be {known[name].metadata['wanted']}, not {show(one)}"
        else:
            yield from _find_wrong(type(known[name].default), one, f"{path}{name}.")


def _find_wrong_number(path: str, value: Any, bounds: tuple[float, float, bool]) -> Iterator[str]:
    least, most, whole = bounds
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        what = "a whole number" if whole else "a number"
        yield f"{path} must be {what} from {least:g} to {most:g}, not {show(value)}"


def _find_contradictions(value: Mapping[str, Any]) -> Iterator[str]:
    spec: Spec = _make(Spec, value)
    if spec.retry.most_s < spec.retry.first_s:
        yield f"retry.most_s must not be less than retry.first_s ({spec.retry.first_s:g})"
    if spec.try_s > spec.timeout_s:
        yield f"try_s, one attempt, must not be more than timeout_s, all of them ({spec.timeout_s:g})"


def _make(kind: type, value: Mapping[str, Any]) -> Any:
    found = {}
    for one in fields(kind):
        if one.name in value:
            is_plain = bool(one.metadata) or one.default is MISSING
            found[one.name] = value[one.name] if is_plain else _make(type(one.default), value[one.name])
    return kind(**found)
