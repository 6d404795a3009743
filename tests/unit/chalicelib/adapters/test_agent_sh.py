"""The script that hosts run, run: the agent comes from where it is told, is checked, and is kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from shutil import which
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from chalicelib.adapters.run_command import Agent, script
from chalicelib.protocol.messages import AgentTask, Arguments, Target

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "import json, sys\nprint(json.dumps(sys.argv[1:]))\nsys.exit(3)\n"
ARGUMENTS = Arguments((Target("i-0123456789abcdef0", "10.0.0.1"),), 5.0)
TARGET = '{"address":"10.0.0.1","instance":"i-0123456789abcdef0","node":"","version":0}'
SENT = f'{{"deadline":5.0,"subjects":[{TARGET}]}}'


@dataclass
class Place:
    """A published agent and a host's cache."""

    published: Path
    cache: Path
    unpacked: Path
    agent: Agent

    def run(
        self, agent: Agent | None = None, url: str | None = None, path: str = "/usr/bin:/bin:/usr/local/bin"
    ) -> subprocess.CompletedProcess[str]:
        text = script(agent or self.agent, url or self.published.as_uri(), AgentTask.EVACUATE, ARGUMENTS)
        places = {"SWARMKEEPER_CACHE": str(self.cache), "SWARMKEEPER_RUN": str(self.unpacked)}
        environment = {"PATH": path, **places}
        return subprocess.run(
            ["/bin/sh", "-c", text], capture_output=True, text=True, check=False, env=environment, timeout=30
        )

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir() if not path.is_symlink())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    published = tmp_path / "published.pyz"
    with zipfile.ZipFile(published, "w") as archive:
        archive.writestr("__main__.py", MAIN)
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    agent = Agent("bucket", f"agent-{digest[:16]}.pyz", digest)
    return Place(published, tmp_path / "cache", tmp_path / "run", agent)


def test_the_agent_is_fetched_and_run_with_its_arguments_and_its_own_exit_status(place: Place) -> None:
    done = place.run()
    assert (json.loads(done.stdout), done.returncode, done.stderr) == (["evacuate", SENT], 3, "")
    assert place.kept == [place.agent.key]


def test_the_second_time_it_comes_from_the_cache(place: Place) -> None:
    place.run()
    place.published.unlink()
    assert place.run().returncode == 3


def test_an_agent_that_was_tampered_with_is_fetched_again(place: Place) -> None:
    place.run()
    (place.cache / place.agent.key).write_text("print('evil')")
    done = place.run()
    assert (done.returncode, "evil" in done.stdout) == (3, False)


def test_it_is_unpacked_once_and_runs_from_there(place: Place) -> None:
    place.run()
    tree = place.unpacked / place.agent.key.removesuffix(".pyz")
    assert [path.name for path in place.unpacked.iterdir()] == [tree.name]
    (tree / "__main__.py").write_text("print('unpacked')")
    assert place.run().stdout == "unpacked\n"


def test_where_it_cannot_be_unpacked_the_archive_runs(place: Place, tmp_path: Path) -> None:
    path = programs(tmp_path, python3="3.11")
    mover = tmp_path / "bin" / "mv"
    mover.unlink()
    mover.write_text('#!/bin/sh\n[ "$1" != -T ] && exec /bin/mv "$@"\n')
    mover.chmod(0o755)
    done = place.run(path=path)
    assert (json.loads(done.stdout), done.returncode, done.stderr) == (["evacuate", SENT], 3, "")
    assert list(place.unpacked.iterdir()) == []


def test_a_file_in_the_way_of_unpacking_changes_nothing(place: Place) -> None:
    place.unpacked.write_text("in the way")
    done = place.run()
    assert (json.loads(done.stdout), done.returncode, done.stderr) == (["evacuate", SENT], 3, "")


def test_a_wrong_hash_is_not_run_and_leaves_nothing(place: Place) -> None:
    done = place.run(Agent("bucket", "agent-0.pyz", "0" * 64))
    assert (done.returncode, done.stdout, place.kept) == (65, "", [])
    assert done.stderr.startswith(f"swarmkeeper: the fetched agent has SHA-256 {place.agent.sha256}, not 000")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/agent.pyz?X-Amz-Signature=hush", "file:///no/such/file"])
def test_an_agent_that_cannot_be_fetched_is_one_clear_line(place: Place, url: str) -> None:
    done = place.run(url=url)
    assert (done.returncode, done.stdout, place.kept) == (66, "", [])
    assert done.stderr.startswith(f"swarmkeeper: no agent from {url.partition('?')[0]} (")
    assert done.stderr.endswith("): let this host reach S3\n")
    assert len(done.stderr.splitlines()) == 1
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("status", "fix"),
    [(403, "publish and deploy again"), (404, "publish and deploy again"), (503, "let this host reach S3")],
)
def test_an_object_that_is_missing_asks_for_another_deployment(place: Place, status: int, fix: str) -> None:
    class S3(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), S3) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        done = place.run(url=f"http://127.0.0.1:{server.server_port}/agent.pyz?X-Amz-Signature=hush")
        server.shutdown()
    assert (done.returncode, done.stdout, place.kept) == (66, "", [])
    assert f"/agent.pyz (HTTP Error {status}: " in done.stderr
    assert done.stderr.endswith(f"): {fix}\n")
    assert len(done.stderr.splitlines()) == 1


def programs(tmp_path: Path, **versions: str) -> str:
    """Make a PATH with the usual programs, but only these Pythons; each takes itself for that version."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sha256sum", "cut", "mkdir", "mktemp", "rm", "mv"):
        (directory / name).symlink_to(which(name) or name)
    for name, version in versions.items():
        major, minor = version.split(".")
        pretend = f"import sys; sys.version_info = ({major}, {minor})"
        program = directory / name.replace("_", ".")
        program.write_text(
            f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c "{pretend}; $2"\n'
            f'exec {sys.executable} "$@"\n'
        )
        program.chmod(0o755)
    return str(directory)


@pytest.mark.parametrize("versions", [{}, {"python3": "3.9"}, {"python3": "3.6", "python3_11": "3.9"}])
def test_a_host_without_a_python_that_is_new_enough_says_so(
    place: Place, tmp_path: Path, versions: dict[str, str]
) -> None:
    done = place.run(path=programs(tmp_path, **versions))
    assert (done.returncode, done.stderr) == (
        69,
        "swarmkeeper: this host has no Python 3.10 or later: install one, such as python3.11\n",
    )


@pytest.mark.parametrize("versions", [{"python3": "3.10"}, {"python3": "3.9", "python3_11": "3.11"}])
def test_a_newer_python_beside_an_old_one_is_used(
    place: Place, tmp_path: Path, versions: dict[str, str]
) -> None:
    done = place.run(path=programs(tmp_path, **versions))
    assert (json.loads(done.stdout), done.returncode, done.stderr) == (["evacuate", SENT], 3, "")


def test_a_cache_that_takes_no_file_is_the_hosts_own_trouble(place: Place) -> None:
    place.cache.write_text("in the way")
    done = place.run()
    assert (done.returncode, done.stdout) == (73, "")
    assert f"cannot write to {place.cache}: fix its owner and mode" in done.stderr


def test_arguments_cannot_break_out_of_their_quotes(place: Place) -> None:
    evil = Agent("bucket", "agent-x'; echo broken out; '.pyz", place.agent.sha256)
    done = place.run(evil)
    assert (done.returncode, done.stderr, place.kept) == (3, "", [evil.key])
    assert "broken out" not in done.stdout


def test_agents_that_nobody_has_run_for_a_day_are_removed(place: Place) -> None:
    place.cache.mkdir()
    place.unpacked.mkdir()
    old = [place.cache / "agent-old.pyz", place.cache / "fetch-abc123", place.unpacked / "agent-old"]
    fresh = [place.cache / "agent-fresh.pyz", place.unpacked / "agent-fresh"]
    other = place.cache / "notes"
    for path in (*old, *fresh, other):
        path.mkdir() if path.parent == place.unpacked else path.write_text("")
        age = 86_400 * 2 if path not in fresh else 3600
        os.utime(path, (time.time() - age, time.time() - age))
    assert place.run().returncode == 3
    assert [path.name for path in (*old, *fresh, other) if path.exists()] == [
        "agent-fresh.pyz",
        "agent-fresh",
        "notes",
    ]


def test_the_agent_that_was_run_last_has_one_name_for_people(place: Place) -> None:
    place.run()
    link = place.cache / "agent.pyz"
    assert link.readlink().name == place.agent.key
    link.unlink()
    link.symlink_to("agent-old.pyz")
    (place.cache / "agent-old.pyz").write_text("")
    place.run()
    assert link.readlink().name == place.agent.key


def test_an_agent_in_use_is_not_old_however_long_ago_it_was_fetched(place: Place) -> None:
    place.run()
    kept = place.cache / place.agent.key, place.unpacked / place.agent.key.removesuffix(".pyz")
    for path in kept:
        os.utime(path, (0, 0))
    place.run()
    assert all(path.stat().st_mtime > time.time() - 60 for path in kept)
