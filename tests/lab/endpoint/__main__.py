"""Runs a lab's endpoint as a process of its own: ``python -m tests.lab.endpoint --name NAME ...``."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

import click

from tests.lab import lifecycle, state
from tests.lab.aws.account import Session
from tests.lab.endpoint import metadata
from tests.lab.endpoint.admin import Admin
from tests.lab.endpoint.autoscaling import LifecycleActions
from tests.lab.endpoint.delivery import EventBus
from tests.lab.endpoint.metadata import InstanceMetadata
from tests.lab.endpoint.passthrough import Passthrough
from tests.lab.endpoint.permissions import Permissions
from tests.lab.endpoint.run_command.api import RunCommand
from tests.lab.endpoint.run_command.commands import Commands
from tests.lab.endpoint.server import Endpoint, serve
from tests.lab.faults.armed_faults import Faults
from tests.lab.machines.network import METADATA_PORT
from tests.lab.observe import journal


@click.command()
@click.option("--name", required=True, help="The lab's name.")
@click.option("--ministack", type=int, required=True, help="The port of the lab's ministack on 127.0.0.1.")
@click.option("--port", type=int, required=True, help="The port to listen on, at the lab's gateway address.")
def main(name: str, ministack: int, port: int) -> None:
    """Serve until told to end."""
    endpoint = build(name, ministack)
    gateway = state.load(name).gateway
    server = serve(endpoint, gateway, port)
    sts = Session(f"http://127.0.0.1:{ministack}").client("sts")
    metadata.serve(InstanceMetadata(lambda: state.load(name), sts), gateway, METADATA_PORT)

    def end(_signal: int, _frame: FrameType | None) -> None:
        endpoint.commands.commands.stop()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    server.serve_forever()


def build(name: str, ministack: int) -> Endpoint:
    """All parts of a lab's endpoint, put together."""
    lab, faults = state.load(name), Faults()
    log = journal.Journal(journal.path(lab))
    onward = Session(f"http://127.0.0.1:{ministack}")
    bus = EventBus(onward.client("events"), onward.client("lambda"), faults, log)
    folder = lab.directory / "commands"
    commands = Commands(folder, lambda i: _find(name, i), faults, bus.deliver_later, log.write)
    api = RunCommand(commands, lambda: state.load(name).hosts)
    hooks = LifecycleActions(bus.deliver)
    return Endpoint(
        name=name,
        onward=Passthrough(ministack),
        admin=Admin(api, bus, faults, hooks, lambda: state.load(name)),
        commands=api,
        hooks=hooks,
        bus=bus,
        permissions=Permissions(onward.client("iam"), onward.client("lambda")),
        faults=faults,
        journal=log,
        cut_power=lambda host: _cut_power(name, host),
    )


def _find(name: str, instance: str) -> state.Host | None:
    hosts = state.load(name).hosts
    return next((host for host in hosts if host.instance == instance), None)


def _cut_power(name: str, host: state.Host) -> None:
    # EC2 answers at once and takes the machine down after that.
    threading.Thread(target=lifecycle.kill, args=(name, host.instance), daemon=True).start()


if __name__ == "__main__":
    main()
