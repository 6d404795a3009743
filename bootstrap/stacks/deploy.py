"""``agent stack …``: the stacks that the agent brings along, deployed on a manager through the docker CLI."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipimport import zipimporter

import bootstrap
from bootstrap.engine.client import SOCKET, Engine, RefusedError
from bootstrap.engine.network import NAMESPACE_LABEL
from bootstrap.errors import BAD_INPUT, NOT_DONE, UNAVAILABLE, AgentError
from bootstrap.stacks.catalog import (
    ENVOY,
    ENVOY_CONFIG,
    PROXIES,
    STACKS,
    SUBNET,
    Docker,
    Stack,
    check_free,
    check_known,
    choose_settings,
    is_ours,
    name_configs,
    named,
    parts,
    rendered,
)
from bootstrap.stacks.envoy_command import configure
from bootstrap.stacks.status import as_json, is_whole, read_status, table
from bootstrap.stacks.surroundings import check_networks, check_nodes, make_network, make_passwords, warn

DOCKER_TIMEOUT_S = 120  # for one docker command; it asks the registry for each image's digest
MAX_CONFIG = 500_000  # bytes
REMOVE = {"rm", "remove"}


def command(words: Sequence[str]) -> int:
    """Run ``agent stack`` with these words; answers the exit status."""
    options = _parser().parse_args(words)
    if options.what == "ls":
        return _list()
    if options.what == "status":
        return _status(options)
    try:
        stack = named(options.stack)
        given, own = _pairs("--set", options.set), _read_files(stack, options.config)
        check_known(given, stack)
        settings = choose_settings(stack, given, options.environment)
        if options.what == "deploy":
            own |= _proxy(stack, options.spec, own)
        if options.dry_run:
            names = name_configs(stack, stack.configs(settings, own))
            print(rendered(stack, settings, _agent(stack), names), end="")
            return 0
    except AgentError as error:
        return _fail(error, BAD_INPUT)
    try:
        docker, engine = docker_at(options.engine, *options.flags), Engine(options.engine)
        if options.what in REMOVE:
            remove(engine, stack, docker)
        else:
            deploy(engine, stack, settings, docker, own)
    except AgentError as error:
        return _fail(error, UNAVAILABLE)
    return 0


def deploy(
    engine: Engine,
    stack: Stack,
    settings: Mapping[str, str],
    docker: Docker,
    own: Mapping[str, bytes] | None = None,
) -> None:
    """Deploy a stack; again, it changes nothing. ``own`` are configs in place of those that come along."""
    engine.node_id()
    if SUBNET in settings:
        check_free(settings[SUBNET], engine.networks())
    warn(check_nodes(stack, settings, engine.nodes()))
    for name in check_networks(engine, stack, settings):
        make_network(docker, name, settings)
    make_passwords(engine, stack, settings)
    contents = stack.configs(settings, own)
    names, agent = name_configs(stack, contents), _agent(stack)
    configs = agent | {names[file]: content for file, content in contents.items()}
    _forget_old(engine, stack, configs)
    with tempfile.TemporaryDirectory() as directory:
        for name, content in configs.items():
            Path(directory, name).write_bytes(content)
        words = ("stack", "deploy", "--compose-file", "-", stack.name)
        print(docker(words, rendered(stack, settings, agent, names), Path(directory)), end="")


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


def _read_files(stack: Stack, given: Sequence[str]) -> dict[str, bytes]:
    """Read the configs that are given by file. Raises AgentError."""
    found = {}
    for name, place in _pairs("--config", given).items():
        if name not in stack.files:
            known = ", ".join(stack.files) or "none"
            raise AgentError(f"stack {stack.name} has no config {name!r}; its configs are {known}")
        try:
            found[name] = Path(place).read_bytes()
        except OSError as error:
            raise AgentError(f"config {name} cannot be read: {error}") from None
        if not 0 < len(found[name]) <= MAX_CONFIG:
            raise AgentError(f"config {name} must have 1 to {MAX_CONFIG} bytes, not {len(found[name])}")
    return found


def _proxy(stack: Stack, spec: Path | None, own: Mapping[str, bytes]) -> dict[str, bytes]:
    """Make the configuration of a proxy, unless it is given whole."""
    if stack.template != ENVOY:
        if spec:
            raise AgentError(f"stack {stack.name} takes no --spec; stacks {ENVOY}-NAME do")
        return {}
    return {} if own else {ENVOY_CONFIG: configure(stack, spec)}


def _status(options: argparse.Namespace) -> int:
    try:
        chosen = {named(name).name for name in options.stacks}
        found = read_status(Engine(options.engine), (lambda name: name in chosen) if chosen else is_ours)
    except AgentError as error:
        return _fail(error, UNAVAILABLE)
    print(as_json(found) if options.json else table(found))
    missing = chosen - {one.stack for one in found}
    return 0 if is_whole(found) and not missing else NOT_DONE


def _agent(stack: Stack) -> dict[str, bytes]:
    return parts(_own_bytes()) if stack.agent else {}


def _own_bytes() -> bytes:
    """Read the zipapp that this is. Raises AgentError where it runs from source."""
    loader = bootstrap.__loader__
    if not isinstance(loader, zipimporter):
        raise AgentError(
            "this is no zipapp, so it cannot be stored in the swarm: build one "
            "(.venv/bin/python -m bootstrap.publish --build-only agent.pyz) and run that"
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
    for stack in (*STACKS, PROXIES):
        print(f"{stack.name}: {stack.purpose}")
        for name, value in stack.defaults.items():
            print(f"  {name}={value}")
        for file in stack.files:
            print(f"  config {file}")
    return 0


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    for name, sign, _ in pairs:
        if not (name and sign):
            raise AgentError(f"{option} takes NAME=VALUE, not {name + sign!r}")
    return {name: value for name, _, value in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("agent stack", description=__doc__)
    whats = parser.add_subparsers(dest="what", required=True, metavar="deploy|remove|status|ls")
    whats.add_parser("ls", help="the stacks, and their settings with the defaults")
    status = whats.add_parser(
        "status", help="what runs of each stack; exit status 1 where something is missing"
    )
    status.add_argument("stacks", nargs="*", help="their names (default: all)")
    status.add_argument("--json", action="store_true", help="one line for programs in place of the table")
    up = whats.add_parser("deploy", help="deploy a stack")
    _add_deploy_options(up)
    down = whats.add_parser(
        "remove", aliases=["rm"], help="remove a stack; networks, passwords and volumes stay"
    )
    down.set_defaults(set=(), config=(), flags=(), dry_run=False, environment={})
    for one in (up, down):
        one.add_argument("stack", help="its name")
    for one in (up, down, status):
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
    up.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a file in place of a config that `stack ls` shows; it is taken as it is",
    )
    up.add_argument("--spec", type=Path, metavar="FILE", help="of a proxy: its policy, as JSON")
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
