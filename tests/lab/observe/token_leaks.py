"""Looks for join tokens in all that a run of the lab leaves, wherever people or programs could read it."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.lab import state
from tests.lab.aws import lab_api, mailbox
from tests.lab.observe import handlers, node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine

MARKS = (b"SWMTKN-1-", b"SWMTKN-2-")  # how every join token begins
# AWS's and the engines' own stores, one of which is where tokens belong; and the deployed sources.
STORES = ("ministack", "app")
ENGINES = ("docker", "root", "work0")
VOLATILE = ("tmp", "run", "dev/shm")  # not on a host's disks
BIGGEST = 50_000_000  # bytes; what is bigger is no log


@dataclass(frozen=True)
class Place:
    """Something that was looked through: its kind and name, how many bytes, and whether a token is in it."""

    kind: str
    name: str
    size: int
    leaks: bool


def tokens(lab: Lab) -> set[str]:
    """Read the join tokens of the swarm as it is now."""
    return set(engine.manager(state.load(lab.name)).api.inspect_swarm()["JoinTokens"].values())


def search(lab: Lab, secrets: Collection[str]) -> list[Place]:
    """Every place, looked through for these join tokens and any other, plain and in the usual disguises."""
    needles = {*MARKS, *(needle for secret in secrets for needle in _disguises(secret))}
    lab = state.load(lab.name)
    found = (*_files(lab), *_volatile(lab), *_aws(lab), *_swarm(lab))
    return [
        Place(kind, name, len(text), any(needle in text for needle in needles)) for kind, name, text in found
    ]


def _disguises(secret: str) -> Iterator[bytes]:
    """Write the token, and its secret half alone, as URLs, JSON and base64 would have them."""
    for text in (secret, secret.rpartition("-")[2]):
        yield text.encode()
        yield quote(text, safe="").encode()
        yield base64.b64encode(text.encode())[:-4]  # its end depends on what follows


def _files(lab: Lab) -> Iterator[tuple[str, str, bytes]]:
    """Journal, letters, programs' logs, commands' scripts and outputs, what hosts wrote to their disks."""
    home = lab.directory
    engines = {home / "hosts" / host.name / name for host in lab.hosts for name in ENGINES}
    for path in files_below(home, {home / name for name in STORES} | engines):
        top = path.relative_to(home).parts[0]
        yield from _read("disk" if top == "hosts" else top, path)


def _volatile(lab: Lab) -> Iterator[tuple[str, str, bytes]]:
    for host in _powered(lab):
        for folder in VOLATILE:
            for path in files_below(Path(f"/proc/{host.pid}/root/{folder}")):
                yield from _read("memory", path)


def files_below(top: Path, stores: Collection[Path] = ()) -> Iterator[Path]:
    """Every file below it, but for those in the stores; directories may vanish meanwhile."""
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if Path(folder, name) not in stores]
        yield from (Path(folder, name) for name in files)


def _read(kind: str, path: Path) -> Iterator[tuple[str, str, bytes]]:
    try:
        found = path.lstat()
        shared = found.st_nlink > 1  # a program of the engine's packages, to which hosts have links
        if stat.S_ISREG(found.st_mode) and not shared and found.st_size < BIGGEST:
            yield kind, str(path), path.read_bytes()
    except OSError:
        return  # gone meanwhile


def _aws(lab: Lab) -> Iterator[tuple[str, str, bytes]]:
    """Read the table, commands, handlers' logs and settings, messages, and S3."""
    for item in node_life.items(lab):
        yield "item", f"{item['cluster']} {item['item']}", json.dumps(item, default=str).encode()
    for command in lab_api.commands(lab):
        yield "command", command["order"]["command"], json.dumps(command).encode()
    for run in handlers.runs(lab):
        yield "handler", run.function, "\n".join(line.text for line in run.lines).encode()
    for letter in mailbox.letters(lab):
        yield "letter", letter.subject, f"{letter.subject}\n{letter.text}".encode()
    session = lab_api.connect(lab)
    for function in session.client("lambda").list_functions()["Functions"]:
        yield "function", function["FunctionName"], json.dumps(function, default=str).encode()
    s3 = session.client("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        for row in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            yield "object", row["Key"], s3.get_object(Bucket=bucket["Name"], Key=row["Key"])["Body"].read()


def _swarm(lab: Lab) -> Iterator[tuple[str, str, bytes]]:
    """Read what anybody sees who may list nodes and services."""
    client = engine.manager(lab)
    for kind, rows in (("node", client.api.nodes()), ("service", client.api.services())):
        for row in rows:
            yield kind, row["ID"], json.dumps(row).encode()


def _powered(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if host.pid]
