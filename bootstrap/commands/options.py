"""Options that say which engine is wanted, from where, and with what it has to get along."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bootstrap.engine.client import SOCKET
from bootstrap.errors import BAD_INPUT, UNAVAILABLE, AgentError
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.description import (
    ANY_VERSION,
    Description,
    Driver,
    Packages,
    SourceKind,
    StorageDriver,
    WantedEngine,
    WantedHost,
)
from chalicelib.protocol.description_codec import ENGINE, decode_description
from chalicelib.protocol.result_fields import row_of
from chalicelib.protocol.strict_json import ProtocolError

ENGINE_OPTIONS = ("version", "storage_driver")
SOURCE_OPTIONS = ("packages", "url", "key", "suite", "component")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the engine's socket."""
    default = os.environ.get("DOCKER_HOST", SOCKET)
    parser.add_argument("--engine", default=default, help="the engine's socket (default: %(default)s)")


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is wanted."""
    parser.add_argument("--description", type=Path, metavar="FILE", help="a cluster's description, as JSON")
    parser.add_argument("--version", help=f"of the engine, such as 28.5.2, or {ANY_VERSION} (the default)")
    parser.add_argument(
        "--source", choices=[kind.value for kind in SourceKind], help="where its packages are from"
    )
    parser.add_argument("--url", default="", help="of a mirror")
    parser.add_argument(
        "--key", default="", help="of a mirror: https address or path of the key of its index"
    )
    parser.add_argument("--suite", default="", help="of a mirror for apt (default: the host's code name)")
    parser.add_argument("--component", default="", help="of a mirror for apt (default: stable, or main)")
    names = [one.value for one in Packages]
    parser.add_argument("--packages", choices=names, help="by which names a mirror offers the engine")
    drivers = [one.value for one in StorageDriver]
    parser.add_argument(
        "--storage-driver", choices=drivers, help="default: overlay2 or overlayfs, as the engine likes"
    )
    parser.add_argument("--plugin", action="store_true", help="the network plugin will run on this engine")


def read_wanted(options: argparse.Namespace) -> tuple[Wanted, WantedHost]:
    """Read what is wanted: the description, and over it the options. Raises AgentError."""
    described = _described(options.description)
    engine: dict[str, Any] = {name: found for name in ENGINE_OPTIONS if (found := getattr(options, name))}
    source = {name: found for name in SOURCE_OPTIONS if (found := getattr(options, name))}
    if kind := options.source or ("mirror" if options.url else ""):
        default = "distribution" if kind == "distribution" else "docker"
        engine["source"] = {"kind": kind, "packages": default, **source}
    has_plugin = options.plugin or (described is not None and described.network.driver is Driver.WEAVE)
    may = {name: bool(getattr(options, name, False)) for name in ("may_restart", "may_downgrade")}
    return Wanted(
        _merged(described, engine), has_plugin, **may
    ), described.host if described else WantedHost()


def finish(command: Callable[[], int]) -> int:
    """Run a command; what a person can fix is one line on stderr."""
    try:
        return command()
    except ProtocolError as error:
        return _say(str(error), BAD_INPUT)
    except AgentError as error:
        return _say(str(error), UNAVAILABLE)


def print_json(value: Any) -> None:
    """Print a value for programs, in one line."""
    print(json.dumps(value, sort_keys=True))


def _merged(described: Description | None, given: dict[str, Any]) -> WantedEngine:
    """Put what was given into what is described; it is checked like a description."""
    there = asdict(described.engine) if described else {"version": ANY_VERSION}
    return row_of(WantedEngine, ENGINE)({**there, **given}, "engine")  # type: ignore[no-any-return]


def _described(place: Path | None) -> Description | None:
    if place is None:
        return None
    try:
        return decode_description(place.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(f"the description {place} cannot be read: {error}") from None


def _say(message: str, status: int) -> int:
    print(f"agent: {message}", file=sys.stderr)
    return status
