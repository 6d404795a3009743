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
from bootstrap.engine.client import SOCKET, Engine, RefusedError
from bootstrap.engine.network import NAMESPACE_LABEL
from bootstrap.errors import BAD_INPUT, UNAVAILABLE, AgentError
from bootstrap.stacks.catalog import (
    STACKS,
    SUBNET,
    Stack,
    check_free,
    check_known,
    choose_settings,
    named,
    parts,
    rendered,
)

DOCKER_TIMEOUT_S = 120  # for one docker command; it asks the registry for each image's digest
Docker = Callable[[Sequence[str], str, Path], str]  # (words, stdin, working directory) -> stdout


def command(words: Sequence[str]) -> int:
    """Run ``agent stack`` with these words; answers the exit status."""
    options = _parser().parse_args(words)
    if options.what == "ls":
        return _list()
    try:
        stack, given = named(options.stack), _pairs(options.set)
        check_known(given, stack)
        settings = choose_settings(stack, given, options.environment)
        if options.dry_run:
            print(rendered(stack, settings, _configs(stack)), end="")
            return 0
    except AgentError as error:
        return _fail(error, BAD_INPUT)
    try:
        docker, engine = docker_at(options.engine, *options.flags), Engine(options.engine)
        if options.what == "rm":
            remove(engine, stack, docker)
        else:
            deploy(engine, stack, settings, docker)
    except AgentError as error:
        return _fail(error, UNAVAILABLE)
    return 0


def deploy(engine: Engine, stack: Stack, settings: Mapping[str, str], docker: Docker) -> None:
    """Deploy a stack; again, it changes nothing."""
    engine.node_id()
    if SUBNET in settings:
        check_free(settings[SUBNET], engine.networks())
    configs = _configs(stack)
    _forget_old(engine, stack, configs)
    with tempfile.TemporaryDirectory() as directory:
        for name, content in configs.items():
            Path(directory, name).write_bytes(content)
        words = ("stack", "deploy", "--compose-file", "-", stack.name)
        print(docker(words, rendered(stack, settings, configs), Path(directory)), end="")


def remove(engine: Engine, stack: Stack, docker: Docker) -> None:
    """Remove a stack; AgentError where it is not there."""
    engine.node_id()
    if stack.name not in {service.labels.get(NAMESPACE_LABEL) for service in engine.services()}:
        raise AgentError(f"stack {stack.name} is not deployed; nothing was removed")
    print(docker(("stack", "rm", stack.name), "", Path.cwd()), end="")


def _forget_old(engine: Engine, stack: Stack, wanted: Mapping[str, bytes]) -> None:
    """Remove the stack's configs that neither it nor its next version uses.

    It is done before the new version comes, so that the last one stays for a rollback.
    """
    for config in engine.configs_of(stack.name):
        if config.name not in wanted:
            try:
                engine.remove_config(config)
            except RefusedError:  # in use, as Swarm alone can tell
                continue


def _configs(stack: Stack) -> dict[str, bytes]:
    return parts(_own_bytes()) if stack.agent else {}


def _own_bytes() -> bytes:
    """Read the zipapp that this is. Raises AgentError where it runs from source."""
    loader = bootstrap.__loader__
    if not isinstance(loader, zipimporter):
        raise AgentError(
            "this is no zipapp, so it cannot be stored in the swarm: build one "
            "(python -m bootstrap.publish --stage dev --build-only agent.pyz) and run that"
        )
    return Path(loader.archive).read_bytes()


def docker_at(engine: str, *flags: str) -> Docker:
    """Find the docker command line, for that engine and with these flags. Raises AgentError without one."""
    program = shutil.which("docker")
    if program is None:
        raise AgentError(
            "this host has no docker command line: install the one of its engine (docker-ce-cli)"
        )

    def run(words: Sequence[str], stdin: str, directory: Path) -> str:
        argv = [program, "--host", engine, *words[:2], *flags, *words[2:]]
        what = f"docker {' '.join(words[:2])} {words[-1]}"
        try:
            done = subprocess.run(  # noqa: S603 - words of our own
                argv,
                input=stdin,
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=DOCKER_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AgentError(f"{what} did not end within {DOCKER_TIMEOUT_S} s; run it again") from None
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
    up = whats.add_parser("deploy", help="deploy a stack")
    _add_deploy_options(up)
    down = whats.add_parser("rm", help="remove a stack")
    down.set_defaults(set=(), flags=(), dry_run=False, environment={})
    for one in (up, down):
        one.add_argument("stack", help="its name")
        one.add_argument(
            "--engine", default=os.environ.get("DOCKER_HOST", SOCKET), help="default: %(default)s"
        )
    return parser


def _add_deploy_options(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting as `stack ls` shows it; the environment can set it too. REGISTRY is put before the "
        "name of every image, such as mirror.example:5000/",
    )
    up.add_argument("--dry-run", action="store_true", help="print the compose file, change nothing")
    up.add_argument(
        "--with-registry-auth",
        dest="flags",
        action="append_const",
        const="--with-registry-auth",
        default=[],
        help="give the nodes this host's login of the registry (docker login)",
    )
    up.set_defaults(environment=os.environ)


def _fail(error: AgentError, status: int) -> int:
    print(f"agent: {error}", file=sys.stderr)
    return status
