"""What people call with `chalice invoke -n <name>`: the payload is checked and becomes an event.

A call that cannot be done raises CallError with one line, and changes nothing. With ``dry_run`` the plan is
answered instead of carried out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.wiring import connected
from chalicelib.admin.dry_run import describe_plan
from chalicelib.admin.payloads import (
    Field,
    check_payload,
    count,
    description,
    flag,
    instance,
    name,
    names,
    one_of,
    seconds,
    share,
    span,
    stabilization,
    text,
)
from chalicelib.admin.status import show_status
from chalicelib.admin.tables import show_result
from chalicelib.admin.waiting import ask_manager, explain_no_manager, order_and_wait
from chalicelib.errors import CallError
from chalicelib.events import (
    EvacuationOrdered,
    GiveBackOrdered,
    RedriveOrdered,
    SettingsOrdered,
    TaskOrdered,
    Tick,
)
from chalicelib.pipeline import follow, load
from chalicelib.protocol.messages import AgentTask, Arguments, Mode, Rebalance
from chalicelib.rules import decide
from chalicelib.state.instance import Role
from chalicelib.state.settings import Recommendations

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.events import Event

Payload = Mapping[str, Any]
Call = Callable[[Payload, "World"], dict[str, Any]]
CLUSTER = {"cluster": Field(name, required=True), "dry_run": Field(flag)}
NAMED = CLUSTER | {"instance": Field(instance, required=True)}
ALL_FRAMES = 1000
DEFAULT_EVACUATION_S = 600.0  # for an evacuation that nothing hurries


def call(which: str, payload: object, world: World | None = None) -> dict[str, Any]:
    """Carry out a manual call. Raises CallError.

    Lambda answers an error with its traceback, as far as ``sys.tracebacklimit`` lets the traceback module see
    it, and ``chalice invoke`` prints all of that: the caller of a bad call reads the one line only.
    """
    sys.tracebacklimit = ALL_FRAMES
    fields, perform = CALLS[which]
    try:
        valid = check_payload(payload, fields)
        world = world or connected()
        _check_known(valid, world)
        return perform(valid, world)
    except CallError:
        sys.tracebacklimit = 0
        raise


def _check_known(payload: Payload, world: World) -> None:
    cluster = payload.get("cluster")
    if cluster is None:
        return
    known = world.discoveries.latest().clusters
    if cluster not in known:
        raise CallError(f"there is no cluster {cluster!r}; known are {', '.join(known) or 'none yet'}")
    wanted = payload.get("instance")
    if wanted and not world.nodes.get(cluster, wanted):
        raise CallError(f"{cluster} has no instance {wanted}: status shows those that it has")


def _carry_out(event: Event, payload: Payload, world: World) -> dict[str, Any]:
    """Carry the order out, or with ``dry_run`` say what would be done: one plan, another executor."""
    cluster = payload["cluster"]
    if payload.get("dry_run"):
        plan = decide(event, load(event, cluster, world))
        if plan.refused:
            raise CallError(plan.reason)
        return describe_plan(plan)
    return {"done": list(follow(event, cluster, world))}


def _status(payload: Payload, world: World) -> dict[str, Any]:
    return show_status(payload.get("cluster"), world)


def _evacuate(payload: Payload, world: World) -> dict[str, Any]:
    wanted = payload.get("seconds", DEFAULT_EVACUATION_S), payload.get("give_back", 0.0)
    return _carry_out(EvacuationOrdered(world.clock.now(), payload["instance"], *wanted), payload, world)


def _give_back(payload: Payload, world: World) -> dict[str, Any]:
    return _carry_out(GiveBackOrdered(world.clock.now(), payload["instance"]), payload, world)


def _configure(payload: Payload, world: World) -> dict[str, Any]:
    changes = {key: value for key, value in payload.items() if key not in CLUSTER}
    if not changes:
        settings = ", ".join(sorted(set(CALLS["configure"][0]) - set(CLUSTER)))
        raise CallError(f"there is nothing to configure: give some of {settings}")
    return _carry_out(SettingsOrdered(world.clock.now(), changes), payload, world)


def _pause(payload: Payload, world: World) -> dict[str, Any]:
    return _carry_out(SettingsOrdered(world.clock.now(), {"paused": True}), payload, world)


def _resume(payload: Payload, world: World) -> dict[str, Any]:
    """Resume, and catch up at once, not with the next tick."""
    answer = _carry_out(SettingsOrdered(world.clock.now(), {"paused": False}), payload, world)
    if not payload.get("dry_run"):
        answer["done"] += follow(Tick(), payload["cluster"], world)
    return answer


def _redrive(payload: Payload, world: World) -> dict[str, Any]:
    return _carry_out(RedriveOrdered(world.clock.now(), payload.get("instance", "")), payload, world)


def _init(payload: Payload, world: World) -> dict[str, Any]:
    return _on_manager(AgentTask.INIT, payload, world)


def _recover(payload: Payload, world: World) -> dict[str, Any]:
    if payload["confirm"] != payload["cluster"]:
        raise CallError(
            f"confirm must be the cluster's name, {payload['cluster']!r}: recover makes a new swarm of one"
            " manager's state, and is for a quorum that is lost for good"
        )
    return _on_manager(AgentTask.RECOVER, payload, world)


def _on_manager(task: AgentTask, payload: Payload, world: World) -> dict[str, Any]:
    cluster, manager = payload["cluster"], payload["instance"]
    if manager not in world.managers.list_ids(cluster):
        raise CallError(f"{manager} is no manager of {cluster}: status shows which are")
    return _order(TaskOrdered(world.clock.now(), task, manager), payload, world)


def _rotate_tokens(payload: Payload, world: World) -> dict[str, Any]:
    return _order(TaskOrdered(world.clock.now(), AgentTask.ROTATE_TOKENS), payload, world)


def _promote(payload: Payload, world: World) -> dict[str, Any]:
    return _change_role(AgentTask.PROMOTE, Role.MANAGER, payload, world)


def _demote(payload: Payload, world: World) -> dict[str, Any]:
    return _change_role(AgentTask.DEMOTE, Role.WORKER, payload, world)


def _change_role(task: AgentTask, role: Role, payload: Payload, world: World) -> dict[str, Any]:
    """Give a node a role until it joins again: then its instance's tag decides."""
    instance = payload["instance"]
    answer = _order(TaskOrdered(world.clock.now(), task, instance), payload, world)
    node = world.nodes.get(payload["cluster"], instance)
    if node and node.role is not role:
        answer["warning"] = (
            f"{instance} is tagged swarmkeeper:role={node.role.value}: it is that again when it is given back"
            f" or joins anew, and commands for managers go by the tag; tag it {role.value} to keep it so"
        )
    return answer


def _rebalance(payload: Payload, world: World) -> dict[str, Any]:
    wanted = Rebalance(
        services=tuple(payload.get("services", ())),
        mode=payload.get("mode", ""),
        dry_run=payload.get("dry_run", False),
        max_moves=payload.get("max_moves", 0),
    )
    cluster = payload["cluster"]
    _check_not_paused(cluster, world)
    if wanted.dry_run:
        arguments = Arguments(labels={"swarmkeeper.cluster": cluster}, rebalance=wanted)
        return {"dry_run": True, **show_result(ask_manager(AgentTask.REBALANCE, arguments, cluster, world))}
    return _order(TaskOrdered(world.clock.now(), AgentTask.REBALANCE, rebalance=wanted), payload, world)


def _order(event: TaskOrdered, payload: Payload, world: World) -> dict[str, Any]:
    cluster = payload["cluster"]
    if not world.managers.list_ids(cluster):
        raise CallError(explain_no_manager(cluster, world))
    _check_not_paused(cluster, world)
    if payload.get("dry_run"):
        return _carry_out(event, payload, world)
    return order_and_wait(event, cluster, world)


def _check_not_paused(cluster: str, world: World) -> None:
    if world.settings.get(cluster).paused:
        resume = world.deployment.write_call("resume", {"cluster": cluster})
        raise CallError(f"{cluster} is paused, nothing is sent: resume it first:{resume}")


CALLS: dict[str, tuple[Mapping[str, Field], Call]] = {
    "status": ({"cluster": Field(name)}, _status),
    "evacuate": (NAMED | {"seconds": Field(seconds), "give_back": Field(seconds)}, _evacuate),
    "give_back": (NAMED, _give_back),
    "configure": (
        CLUSTER
        | {"recommendations": Field(one_of(Recommendations)), "drills": Field(flag), "notify": Field(flag)}
        | {"rebalance": Field(flag), "settle": Field(stabilization), "cooldown": Field(span)}
        | {"out_share": Field(share), "description": Field(description)},
        _configure,
    ),
    "pause": (CLUSTER, _pause),
    "resume": (CLUSTER, _resume),
    "redrive": (CLUSTER | {"instance": Field(instance)}, _redrive),
    "init": (NAMED, _init),
    "rotate_tokens": (CLUSTER, _rotate_tokens),
    "promote": (NAMED, _promote),
    "demote": (NAMED, _demote),
    "rebalance": (
        CLUSTER | {"services": Field(names), "mode": Field(one_of(Mode)), "max_moves": Field(count)},
        _rebalance,
    ),
    "recover": (NAMED | {"confirm": Field(text, required=True)}, _recover),
}
