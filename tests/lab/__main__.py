"""The lab's command line: python -m tests.lab COMMAND."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any, NoReturn

import click
from rich.console import Console

from tests.lab import lifecycle, state
from tests.lab.cli import commands_aws, status_view
from tests.lab.cli.output import answer, as_json, console, engine_option, named
from tests.lab.machines import engines, machine, preflight
from tests.lab.state import Host, LabError
from tests.lab.swarm import engine


class Group(click.Group):
    """Turns what a person can mend into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except LabError as error:
            trouble = str(error)
        except engine.UNREACHABLE as error:
            trouble = f"an engine refuses or does not answer: {error}"
        click.echo(f"error: {trouble}", err=True)
        return ctx.exit(1)


@click.group(cls=Group)
def cli() -> None:
    """Run a real Docker Swarm of several hosts on this machine, with AWS around it."""
    if "--help" not in sys.argv:
        preflight.check_caller()
    # So that a SIGTERM, as from a CI runner's time-out, cleans up like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def say(text: str) -> None:
    """Tell on stderr what goes on, with the seconds since the start."""
    Console(stderr=True).print(f"[dim]{time.monotonic() - STARTED:5.1f} s[/dim] {text}")


STARTED = time.monotonic()


@cli.command()
@click.option("--managers", default=3, show_default=True, help="How many managers.")
@click.option("--workers", default=3, show_default=True, help="How many workers.")
@click.option("--bare", is_flag=True, help="Hosts and swarm only, no AWS.")
@click.option("--unjoined", is_flag=True, help="Leave it to the product to make a swarm of the hosts.")
@click.option("--bare-root", is_flag=True, help="Hosts without any engine: the product installs one.")
@click.option("--fleet", is_flag=True, help="Replace a worker that is gone, as a maintaining fleet does.")
@engine_option
@named
@as_json
def up(*, name: str, as_json: bool, **shape: Any) -> None:
    """Start a lab: hosts, swarm, images, and AWS with the app deployed."""
    lab = lifecycle.up(name, **shape, say=say)
    say("up")
    _tell(status_view.status(lab), as_json=as_json)


@cli.command()
@named
@as_json
def down(*, name: str, as_json: bool) -> None:
    """Take a lab down; nothing of it is left."""
    found = lifecycle.down(name, say=say)
    answer(
        {"name": name, "was_up": found},
        f"lab {name!r} {'is down' if found else 'was not up'}",
        as_json=as_json,
    )


@cli.command()
@named
@as_json
def status(*, name: str, as_json: bool) -> None:
    """Show hosts, nodes and tasks."""
    _tell(status_view.status(state.load(name)), as_json=as_json)


@cli.command()
@click.argument("host")
@named
@as_json
def kill(*, host: str, name: str, as_json: bool) -> None:
    """Cut a host's power (by name, instance id or address)."""
    dead = lifecycle.kill(name, host)
    answer(asdict(dead), f"{dead.name} ({dead.instance}) has no power", as_json=as_json)


@cli.command()
@click.argument("host")
@named
@as_json
def stop(*, host: str, name: str, as_json: bool) -> None:
    """Stop a host as EC2 stops an instance: its disks stay; deliver the events."""
    still = lifecycle.stop(name, host)
    answer(asdict(still), f"{still.name} ({still.instance}) is stopped", as_json=as_json)


@cli.command()
@click.argument("host")
@named
@as_json
def start(*, host: str, name: str, as_json: bool) -> None:
    """Start a stopped host again, and deliver the events."""
    back = lifecycle.start(name, host)
    answer(asdict(back), f"{back.name} ({back.instance}) runs again", as_json=as_json)


@cli.command()
@click.option("--role", type=click.Choice(["worker", "manager"]), default="worker", show_default=True)
@named
@as_json
def add(*, role: str, name: str, as_json: bool) -> None:
    """Boot a fresh host, which is not in the swarm yet, and deliver its launch events."""
    host = lifecycle.add(name, role, say=say)
    answer(asdict(host), f"{host.name} ({host.instance}) is up, socket {host.socket}", as_json=as_json)


@cli.command("docker")
@click.argument("host")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@named
@as_json
def docker_command(*, host: str, args: tuple[str, ...], name: str, as_json: bool) -> None:
    """Run the docker command line against one host's engine: docker HOST -- ARGS."""
    target = _powered(name, host)
    program = engines.client(engines.prepare(state.load(name).engine))
    _pass_on([program, *args], {**os.environ, "DOCKER_HOST": f"unix://{target.socket}"}, as_json=as_json)


@cli.command("exec")
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@named
@as_json
def exec_command(*, host: str, command: tuple[str, ...], name: str, as_json: bool) -> None:
    """Run a command inside a host, as root: exec HOST -- COMMAND."""
    target = _powered(name, host)
    _pass_on([*machine.enter(target), *command], dict(os.environ), as_json=as_json)


def _powered(name: str, host: str) -> Host:
    lab = state.load(name)
    target = lab.host(host)
    if not machine.has_power(lab, target):
        raise LabError(f"host {target.name} has no power")
    return target


def _pass_on(argv: list[str], env: dict[str, str], *, as_json: bool) -> NoReturn:
    """Run a program in our place: its streams and exit status are ours; with JSON, its output is a field."""
    done = subprocess.run(argv, env=env, capture_output=as_json, text=True, check=False)
    if as_json:
        click.echo(json.dumps({"exit": done.returncode, "stdout": done.stdout, "stderr": done.stderr}))
    sys.exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for part in status_view.tables(found):
        console().print(part, highlight=False)
    if found["trouble"]:
        click.echo(f"the swarm does not answer: {found['trouble']}", err=True)


for command in commands_aws.COMMANDS:
    cli.add_command(command)

if __name__ == "__main__":
    cli(prog_name="python -m tests.lab")
