"""``agent envoy render``: from the spec of a proxy to Envoy's configuration; needs no engine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bootstrap.errors import BAD_INPUT, AgentError
from bootstrap.stacks.catalog import ENVOY, Stack
from bootstrap.stacks.envoy_config import render
from bootstrap.stacks.envoy_spec import Spec, SpecError, read_spec


def command(words: Sequence[str]) -> int:
    """Run ``agent envoy`` with these words; answers the exit status."""
    parser = argparse.ArgumentParser("agent envoy", description=__doc__)
    whats = parser.add_subparsers(required=True, metavar="render")
    what = whats.add_parser("render", help="print the configuration; nothing is deployed")
    what.add_argument("spec", type=Path, help="the spec as JSON (docs/stacks.md)")
    options = parser.parse_args(words)
    try:
        print(render(read_spec(_read(options.spec))), end="")
    except SpecError as error:
        for line in error.lines:
            print(f"{options.spec}: {line}", file=sys.stderr)
        return BAD_INPUT
    except AgentError as error:
        print(f"agent: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def configure(stack: Stack, place: Path | None) -> bytes:
    """Make the configuration of a proxy of that stack; without a spec with the default policy."""
    function = stack.name.removeprefix(f"{ENVOY}-")
    spec = read_spec(_read(place)) if place else Spec(name=function)
    if spec.name != function:
        raise AgentError(f"{place} is the spec of {spec.name}, not of {function}; nothing was changed")
    return render(spec).encode()


def _read(place: Path) -> str:
    try:
        return place.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise AgentError(f"the spec {place} cannot be read: {error}") from None
