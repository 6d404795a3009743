"""``agent stack …``: the stacks that the agent brings along, deployed on a manager through the docker CLI."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zipimport import zipimporter

import bootstrap
from bootstrap.errors import BAD_INPUT, UNAVAILABLE, AgentError
from bootstrap.stack import (
    NAMESPACE_LABEL,
    STACKS,
    SUBNET,
    Stack,
    check_free,
    check_known,
    chosen,
    named,
    parts,
    rendered,
)
from bootstrap.swarm import SOCKET, Engine, RefusedError

DOCKER_SECONDS = 120  # for one docker command; it asks the registry for each image's digest
Docker = Callable[[Sequence[str], str, Path], str]  # (words, stdin, working directory) -> stdout


def command(words: Sequence[str]) -> int:
    """Run ``agent stack`` with these words; answers the exit status."""
    options = _parser().parse_args(words)
    if options.what == "ls":
        return _list()
    try:
        stack, given = named(options.stack), _pairs(getattr(options, "set", ()))
        wanted = (*([named(stack.needs)] if stack.needs else ()), stack)
        check_known(given, wanted)
        settings = {one.name: chosen(one, given, os.environ) for one in wanted}
        if options.what == "deploy" and options.dry_run:
            print(rendered(stack, settings[stack.name], _configs(stack)), end="")
            return 0
    except AgentError as error:
        return _fail(error, BAD_INPUT)
    try:
        docker = docker_at(options.engine)
        if options.what == "rm":
            remove(Engine(options.engine), stack, docker)
        else:
            deploy(Engine(options.engine), wanted, settings, docker)
    except AgentError as error:
        return _fail(error, UNAVAILABLE)
    return 0


def deploy(
    engine: Engine, stacks: Sequence[Stack], settings: Mapping[str, Mapping[str, str]], docker: Docker
) -> None:
    """Deploy the last of the stacks, and those before it that are missing; again, it changes nothing."""
    engine.node_id()
    deployed = {service.labels.get(NAMESPACE_LABEL) for service in engine.services()}
    for stack in stacks:
        if stack is stacks[-1] or stack.name not in deployed:
            _deploy(engine, stack, settings[stack.name], docker)


def remove(engine: Engine, stack: Stack, docker: Docker) -> None:
    """Remove a stack that no other one needs; AgentError where it is not there."""
    engine.node_id()
    deployed = {service.labels.get(NAMESPACE_LABEL) for service in engine.services()}
    if stack.name not in deployed:
        raise AgentError(f"stack {stack.name} is not deployed; nothing was removed")
    for other in STACKS:
        if other.needs == stack.name and other.name in deployed:
            raise AgentError(f"stack {other.name} needs {stack.name}: remove it first; nothing was removed")
    print(docker(("stack", "rm", stack.name), "", Path.cwd()), end="")


def _deploy(engine: Engine, stack: Stack, settings: Mapping[str, str], docker: Docker) -> None:
    if SUBNET in settings:
        check_free(settings[SUBNET], engine.networks())
    configs = _configs(stack)
    _forget_old(engine, stack, configs)
    with tempfile.TemporaryDirectory() as directory:
        for name, content in configs.items():
            Path(directory, name).write_bytes(content)
        words = ("stack", "deploy", "--compose-file", "-", stack.name)
        print(docker(words, rendered(stack, settings, configs), Path(directory)), end="")


def _forget_old(engine: Engine, stack: Stack, wanted: Mapping[str, bytes]) -> None:
    """Remove the stack's configs that neither it nor its next version uses.

    It is done before the new version comes, so that the last one stays for a rollback.
    """
    for name, config in engine.configs_of(stack.name).items():
        if name not in wanted:
            try:
                engine.remove_config(name, config)
            except RefusedError:  # in use, as Swarm alone can tell
                continue


def _configs(stack: Stack) -> dict[str, bytes]:
    return parts(_own_bytes()) if stack.agent else {}


def _own_bytes() -> bytes:
    """The zipapp that this is; AgentError where it runs from source."""
    loader = bootstrap.__loader__
    if not isinstance(loader, zipimporter):
        raise AgentError(
            "this is no zipapp, so it cannot be stored in the swarm: build one "
            "(python -m bootstrap.publish --stage dev --build-only agent.pyz) and run that"
        )
    return Path(loader.archive).read_bytes()


def docker_at(engine: str) -> Docker:
    """The docker command line, speaking to that engine; AgentError where there is none."""
    program = shutil.which("docker")
    if program is None:
        raise AgentError(
            "this host has no docker command line: install the one of its engine (docker-ce-cli)"
        )

    def run(words: Sequence[str], stdin: str, directory: Path) -> str:
        argv = [program, "--host", engine, *words]
        what = f"docker {' '.join(words[:2])} {words[-1]}"
        try:
            done = subprocess.run(  # noqa: S603 - words of our own
                argv,
                input=stdin,
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=DOCKER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AgentError(f"{what} did not end within {DOCKER_SECONDS} s; run it again") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            raise AgentError(f"{what} failed ({done.returncode}): {said}")
        return done.stdout

    return run


def _list() -> int:
    for stack in STACKS:
        print(f"{stack.name}: {stack.purpose}")
        for name, value in stack.defaults.items():
            print(f"  {name}={value}")
    return 0


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    for name, sign, _ in pairs:
        if not (name and sign):
            raise AgentError(f"--set takes NAME=VALUE, not {name + sign!r}")
    return {name: value for name, _, value in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent stack", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True, metavar="deploy|rm|ls")
    whats.add_parser("ls", help="the stacks, and their settings with the defaults")
    up = whats.add_parser("deploy", help="deploy a stack, and those that it needs where they are missing")
    up.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting as `stack ls` shows it; the environment can set it too. REGISTRY is put before the "
        "name of every image, such as mirror.example:5000/",
    )
    up.add_argument("--dry-run", action="store_true", help="print the compose file, change nothing")
    down = whats.add_parser("rm", help="remove a stack")
    for one in (up, down):
        one.add_argument("stack", help="its name")
        one.add_argument(
            "--engine", default=os.environ.get("DOCKER_HOST", SOCKET), help="default: %(default)s"
        )
    return parser


def _fail(error: AgentError, status: int) -> int:
    print(f"agent: {error}", file=sys.stderr)
    return status
