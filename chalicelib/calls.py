"""What people call with `chalice invoke -n <name>`: the payload is checked and becomes an event.

A bad payload is answered with one line under ``error``, and changes nothing. With ``dry_run`` the plan is
answered instead of carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.conduct import Rebalance
from chalicelib.errors import CallError
from chalicelib.events import ConductOrdered, EvacuationOrdered, RedriveOrdered, TaskOrdered, Tick
from chalicelib.payloads import Field, checked, flag, instance, name, one_of, seconds, text
from chalicelib.pipeline import follow, load
from chalicelib.protocol import Task
from chalicelib.rehearsal import described
from chalicelib.rules import decide
from chalicelib.rules.managers import choose
from chalicelib.status import status_of
from chalicelib.world import connected

if TYPE_CHECKING:
    from chalicelib.events import Event
    from chalicelib.world import World

Payload = Mapping[str, Any]
Call = Callable[[Payload, "World"], dict[str, Any]]
CLUSTER = {"cluster": Field(name, required=True), "dry_run": Field(flag)}
NAMED = CLUSTER | {"instance": Field(instance, required=True)}
GENTLE = 600.0  # seconds for an evacuation that nothing hurries


def call(which: str, payload: object, world: World | None = None) -> dict[str, Any]:
    """Carry out a manual call."""
    fields, perform = CALLS[which]
    try:
        valid = checked(payload, fields)
        world = world or connected()
        _known(valid, world)
        return perform(valid, world)
    except CallError as error:
        return {"error": str(error)}


def _known(payload: Payload, world: World) -> None:
    cluster = payload.get("cluster")
    if cluster is None:
        return
    known = world.store.census().clusters
    if cluster not in known:
        raise CallError(f"there is no cluster {cluster!r}; known are {', '.join(known) or 'none yet'}")
    wanted = payload.get("instance")
    if wanted and not world.store.node(cluster, wanted):
        raise CallError(f"{cluster} has no instance {wanted}: status shows those that it has")


def _done(event: Event, payload: Payload, world: World) -> dict[str, Any]:
    """Carry the order out, or with ``dry_run`` say what would be done: one plan, another executor."""
    cluster = payload["cluster"]
    if payload.get("dry_run"):
        return described(decide(event, load(event, cluster, world)))
    return {"done": list(follow(event, cluster, world))}


def _status(payload: Payload, world: World) -> dict[str, Any]:
    return status_of(payload.get("cluster"), world)


def _evacuate(payload: Payload, world: World) -> dict[str, Any]:
    wanted = payload.get("seconds", GENTLE), payload.get("give_back", 0.0)
    return _done(EvacuationOrdered(world.clock.now(), payload["instance"], *wanted), payload, world)


def _configure(payload: Payload, world: World) -> dict[str, Any]:
    changes = {key: value for key, value in payload.items() if key not in CLUSTER}
    if not changes:
        raise CallError("there is nothing to configure: give rebalance, drills or notify")
    return _done(ConductOrdered(world.clock.now(), changes), payload, world)


def _pause(payload: Payload, world: World) -> dict[str, Any]:
    return _done(ConductOrdered(world.clock.now(), {"paused": True}), payload, world)


def _resume(payload: Payload, world: World) -> dict[str, Any]:
    """Catches up at once, not with the next tick."""
    answer = _done(ConductOrdered(world.clock.now(), {"paused": False}), payload, world)
    if not payload.get("dry_run"):
        answer["done"] += follow(Tick(), payload["cluster"], world)
    return answer


def _redrive(payload: Payload, world: World) -> dict[str, Any]:
    return _done(RedriveOrdered(world.clock.now(), payload.get("instance", "")), payload, world)


def _init(payload: Payload, world: World) -> dict[str, Any]:
    return _on_manager(Task.INIT, payload["instance"], payload, world)


def _rotate_tokens(payload: Payload, world: World) -> dict[str, Any]:
    cluster = payload["cluster"]
    host = choose(world.store.hosts(cluster), world.clock.now())
    if host is None:
        raise CallError(f"{cluster} has no manager: tag an instance with swarmkeeper:role=manager")
    return _on_manager(Task.ROTATE_TOKENS, payload.get("instance", host.instance), payload, world)


def _recover(payload: Payload, world: World) -> dict[str, Any]:
    if payload["confirm"] != payload["cluster"]:
        raise CallError(
            f"confirm must be the cluster's name, {payload['cluster']!r}: recover makes a new swarm of one"
            " manager's state, and is for a quorum that is lost for good"
        )
    return _on_manager(Task.RECOVER, payload["instance"], payload, world)


def _on_manager(task: Task, manager: str, payload: Payload, world: World) -> dict[str, Any]:
    cluster = payload["cluster"]
    if manager not in world.store.managers(cluster):
        raise CallError(f"{manager} is no manager of {cluster}: status shows which are")
    if world.store.conduct(cluster).paused and not payload.get("dry_run"):
        raise CallError(f"{cluster} is paused, nothing is sent: resume it first")
    answer = _done(TaskOrdered(world.clock.now(), manager, task), payload, world)
    if not payload.get("dry_run"):
        errands = {errand.task: errand for errand in world.store.errands(cluster)}
        answer |= {"command": errands[task].command, "status": errands[task].status}
    return answer


CALLS: dict[str, tuple[Mapping[str, Field], Call]] = {
    "status": ({"cluster": Field(name)}, _status),
    "evacuate": (NAMED | {"seconds": Field(seconds), "give_back": Field(seconds)}, _evacuate),
    "configure": (
        CLUSTER | {"rebalance": Field(one_of(Rebalance)), "drills": Field(flag), "notify": Field(flag)},
        _configure,
    ),
    "pause": (CLUSTER, _pause),
    "resume": (CLUSTER, _resume),
    "redrive": (CLUSTER | {"instance": Field(instance)}, _redrive),
    "init": (NAMED, _init),
    "rotate_tokens": (CLUSTER | {"instance": Field(instance)}, _rotate_tokens),
    "recover": (NAMED | {"confirm": Field(text, required=True)}, _recover),
}
