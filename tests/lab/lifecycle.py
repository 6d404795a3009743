"""A lab's life: up, a host more, a host less, down. Whatever is broken off, `down` leaves nothing.

Several may work on one lab side by side: a host is chosen and recorded in one step, one at a time works on a
host (`machine.alone`) and sees what the last one left of it, and a lab that is being taken down gets no more.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from tests.lab import state
from tests.lab.aws import lab_api, local_aws
from tests.lab.images import registry
from tests.lab.machines import bare_root as bare_root_files
from tests.lab.machines import (
    cgroups,
    engines,
    kernel,
    locks,
    machine,
    name_server,
    network,
    preflight,
    programs,
)
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import formation

Say = Callable[[str], None]
FIRST_HOSTS_AGE_S = 3600.0  # how long the first hosts have run by EC2's word, so that a warning can come late
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")


def quiet(_: str) -> None:
    """Says nothing."""


def up(  # noqa: PLR0913 a lab's shape in words
    name: str,
    managers: int = 3,
    workers: int = 3,
    *,
    bare: bool = False,
    unjoined: bool = False,
    fleet: bool = False,
    bare_root: bool = False,
    engine: str = "",
    say: Say = quiet,
) -> Lab:
    """Start a lab; nothing of it is left where that fails.

    ``bare`` leaves out AWS. ``unjoined`` leaves it to the product to make a swarm of the hosts, ``bare_root``
    to give them an engine first. With ``fleet`` a worker that is gone is replaced by a fresh host.
    ``engine``: see machines/engines.py.
    """
    engine, unjoined = engines.choose(engine), unjoined or bare_root
    preflight.check()
    _check_shape(name, managers, workers)
    if bare_root:
        say("preparing the root of bare hosts, and packages of engines")
        bare_root_files.prepare()
    else:
        say(f"preparing the engine {engine!r}")
        engines.prepare(engine)
    with _alone(name):
        _bury(name)
        shape = {"unjoined": unjoined, "fleet": fleet, "bare_root": bare_root, "engine": engine}
        state.create(name, name, network.slots(), **shape)
        try:
            return _raise(state.load(name), ["manager"] * managers + ["worker"] * workers, bare=bare, say=say)
        except BaseException:
            say("taking down what was started")
            _dismantle(state.load(name))
            raise


def down(name: str, say: Say = quiet) -> bool:
    """Take a lab down completely; answers False where there was nothing to take down."""
    preflight.check_caller()
    with _alone(name):
        try:
            lab = state.load(name)
        except LabError:
            return _sweep_remains(name)
        say("ending what runs")
        _dismantle(lab)
        return True


def add(name: str, role: str = "worker", say: Say = quiet, profile: str = "") -> Host:
    """Boot a fresh host with a running engine, not in the swarm, and deliver the events of its launch.

    ``profile``: the IAM role of an instance that somebody has only tagged into the cluster.
    """
    lab = state.change(name, _with_new_host(role, profile=profile))
    host = lab.hosts[-1]
    say(f"booting {host.name}")
    if lab.endpoint and lab.fleet and role == "worker":
        lab_api.fleet_changed(lab, host, "launched")
    return _switch_on(lab, host)


def _switch_on(lab: Lab, host: Host) -> Host:
    """Boot it and deliver the events of that; one that does not come up is no host of the lab."""
    if lab.endpoint:
        lab_api.instance_changed(lab, host, "pending")
    try:
        host = _boot(lab, host)
    except BaseException:
        kill(lab.name, host.instance)
        raise
    if lab.endpoint:
        lab_api.instance_changed(state.load(lab.name), host, "running")
    return host


def kill(name: str, host: str) -> Host:
    """Cut a host's power, then deliver the events that EC2 sends when an instance is gone.

    A fleet that maintains the number of workers then starts another one. Of a host that is gone already only
    what a failed step has left is cleared away.
    """
    lab = state.load(name)
    with machine.alone(lab, lab.host(host)):
        lab = state.load(name)
        found = lab.host(host)
        dead = machine.power_cut(lab, found)
        if found.state == "terminated":
            return dead
        for now in ("shutting-down", "terminated"):
            dead = _change_state(lab, dead, now)
    if lab.fleet and lab.endpoint and dead.role == "worker":
        lab_api.fleet_changed(lab, dead, "terminated")
        add(name, dead.role)
    return dead


def stop(name: str, host: str) -> Host:
    """Stop a host as EC2 stops an instance: it keeps its disks; delivers the events of it."""
    lab = state.load(name)
    with machine.alone(lab, lab.host(host)):
        lab = state.load(name)
        if (still := lab.host(host)).state != "running":
            raise LabError(f"host {still.name} is {still.state}: only a running one is stopped")
        _change_state(lab, still, "stopping")
        return _change_state(lab, machine.switch_off(lab, still), "stopped")


def start(name: str, host: str) -> Host:
    """Start a stopped host again, with the disks that it had; delivers the events of it."""

    def started(lab: Lab) -> Lab:
        if (still := lab.host(host)).state != "stopped":
            raise LabError(f"host {still.name} is {still.state}: only a stopped one is started")
        return _unless_ending(lab).with_host(replace(still, state="pending", launched=time.time()))

    lab = state.change(name, started)
    return _switch_on(lab, lab.host(host))


def _change_state(lab: Lab, host: Host, now: str) -> Host:
    """Record a host's new state and deliver the event of it."""
    host = replace(host, state=now)
    changed = state.change(lab.name, lambda lab: lab.with_host(host))
    if changed.endpoint:
        lab_api.instance_changed(changed, host, now)
    return host


def new_host(lab: Lab, role: str, age: float = 0.0) -> Host:
    """Make up a new host, launched ``age`` seconds ago, with the next free address."""
    count = len(lab.hosts)
    third, fourth = divmod(10 + count, 250)
    address = str(lab.subnet[256 * third + fourth + 1])
    return Host(
        name=f"ip-{address.replace('.', '-')}",
        role=role,
        instance=f"i-{secrets.token_hex(9)[:17]}",
        address=address,
        zone=ZONES[count % len(ZONES)],
        lifecycle="on-demand" if role == "manager" else "spot",
        launched=max([time.time() - age, *(host.launched + 0.001 for host in lab.hosts)]),
    )


def _raise(lab: Lab, roles: list[str], *, bare: bool, say: Say) -> Lab:
    say("bridging the hosts")
    network.raise_bridge(lab)
    for role in roles:
        lab = state.change(lab.name, _with_new_host(role, FIRST_HOSTS_AGE_S))
    say(f"booting {len(roles)} hosts and the image registry")
    with ThreadPoolExecutor(max_workers=16) as pool:
        filled = pool.submit(registry.start_registry, name_server.start(lab))
        list(pool.map(lambda host: _boot(lab, host), lab.hosts))
        filled.result()
    lab = state.load(lab.name)
    if lab.bare_root:
        lab = bare_root_files.serve(lab)
    if not lab.unjoined:
        say("forming the swarm")
        formation.form(lab)
    if bare:
        return lab
    say("starting AWS and deploying the app")
    return local_aws.start(lab)


def _with_new_host(role: str, age: float = 0.0, profile: str = "") -> Callable[[Lab], Lab]:
    """Make the change that adds a host: its address is free as long as nobody else changes the lab."""
    return lambda lab: _unless_ending(lab).with_host(replace(new_host(lab, role, age), profile=profile))


def _unless_ending(lab: Lab) -> Lab:
    if lab.ending:
        raise LabError(f"lab {lab.name!r} is being taken down: no host is started in it")
    return lab


def _boot(lab: Lab, host: Host) -> Host:
    with machine.alone(lab, host):
        if state.load(lab.name).host(host.instance).state != host.state:
            raise LabError(f"host {host.name} was ended before it came up")
        booted = machine.boot(lab, host)
        state.change(lab.name, lambda lab: lab.with_host(booted))
        return booted


def _dismantle(lab: Lab) -> None:
    """Take everything down, whatever state it is in; what fails is raised after the rest is done."""
    failures: list[Exception] = []
    lab = state.change(lab.name, lambda lab: replace(lab, ending=True))

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except (LabError, OSError) as error:
            failures.append(error)

    attempt(lambda: local_aws.stop(lab))
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda host: attempt(lambda: _cut_for_good(lab, host)), lab.hosts))
    attempt(lambda: programs.sweep(lab.name))
    attempt(lambda: network.remove(lab))
    attempt(lambda: cgroups.clear(lab))
    if failures:
        raise LabError("; ".join(map(str, failures)))
    state.forget(lab.name)
    kernel.restore()


def _cut_for_good(lab: Lab, host: Host) -> None:
    with machine.alone(lab, host):
        machine.power_cut(lab, host)


def _bury(name: str) -> None:
    """Take down what a run that died has left; LabError where that lab is alive."""
    try:
        lab = state.load(name)
    except LabError:
        _sweep_remains(name)
        return
    if not programs.is_alive(name):
        _dismantle(lab)


def _sweep_remains(name: str) -> bool:
    """Programs and files without a state to tell of them."""
    found = programs.is_alive(name) or (state.ROOT / name).exists()
    programs.sweep(name)
    shutil.rmtree(state.ROOT / name, ignore_errors=True)
    kernel.restore()
    return found


def _check_shape(name: str, managers: int, workers: int) -> None:
    if not name.replace("-", "").isalnum() or name in ("lock", "cache"):
        raise LabError(f"a lab's name is made of letters, digits and dashes, not {name!r}")
    if managers < 1 or workers < 0 or managers + workers > 200:
        raise LabError("a lab has at least one manager and at most 200 hosts")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Only one up or down of a lab at a time; the lock goes with the process that holds it."""
    state.ROOT.mkdir(parents=True, exist_ok=True)
    path = state.ROOT / f".{name}.busy"
    try:
        with locks.held(path, wait=False):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    except locks.HeldError:
        raise LabError(f"lab {name!r} is being started or taken down by another process") from None
