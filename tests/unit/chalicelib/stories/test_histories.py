"""Any history of events, in any order, twice, late or never, ends with records, swarm and EC2 agreeing.

Managers come and go too. No change of roles ever costs their quorum (voters.py); where EC2 takes so many at
once that it is lost, nobody who has a vote is removed.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.admin.calls import call
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.settings import ClusterSettings, Recommendations
from tests.unit.chalicelib.stories.support.agreement import agree
from tests.unit.chalicelib.support.fakes import MANAGERS, instance
from tests.unit.chalicelib.support.simulation import Life, worker

pytestmark = pytest.mark.usefixtures("quiet")
NEW_MANAGER = instance(200)
STEPS = st.tuples(
    st.sampled_from(
        [
            "launch",
            "launch_held",
            "warn",
            "notify",
            "recommend",
            "scale_in",
            "terminate",
            "stop",
            "start",
            "drill",
            "announce",
            "close",
            "evacuate",
            "evacuate_for_a_while",
            "give_back",
            "pause",
            "resume",
            "leave",
            "remove",
        ]
    ),
    st.sampled_from([*map(worker, range(4)), *MANAGERS[:2], NEW_MANAGER]),
    st.sampled_from([0.0, 1.0, 40.0, 90.0, 700.0]),
)
COPIES = st.lists(st.sampled_from([1, 1, 1, 0, 2]), min_size=1, max_size=12)
DELAYS = st.lists(st.sampled_from([0.0, 0.0, 2.0, 45.0, 400.0]), min_size=1, max_size=12)
LAGS = st.sampled_from([0.0, 0.0, 40.0, 200.0])  # of EC2's listing, in seconds
FAILS = st.lists(st.sampled_from([False, False, True]), min_size=1, max_size=8).filter(
    lambda fails: not all(fails)
)

# Enough for all attempts at one work, a rejoin after them, and a rebalance. Much of it is needed where every
# event is lost and each inspection comes while a command for the node is out.
SETTLED_S = 4 * 3600
EVENTS_LOST: dict[str, Any] = {
    "copies": [0],
    "late": ([0.0], 0.0),
    "fails": [False],
    "recommendations": Recommendations.IGNORE,
}


def act(life: Life, step: str, name: str) -> None:
    role = Role.MANAGER if name == NEW_MANAGER else Role.WORKER
    match step:
        case "launch" | "launch_held":
            life.launch(name, held=step == "launch_held", role=role)
        case "drill":
            life.drill(name)
        case "announce" | "close":
            status = "closed" if step == "close" else "upcoming"
            life.announce(name, life.lab.clock.time + 5400, status=status)
        case "evacuate" | "give_back":
            life.call(step, instance=name)
        case "evacuate_for_a_while":
            life.call("evacuate", instance=name, seconds=100, give_back=300)
        case "pause" | "resume":
            life.call(step)
        case "leave" | "remove":
            mine = sorted(life.hosts.swarm.keys() - life.hosts.voters.votes)
            mine.sort(key=lambda one: one != name)
            for one in mine[:1]:  # whichever there is, or these steps would rarely meet a node
                getattr(life, step)(one)
        case _:
            getattr(life, step)(name)


def waits(life: Life) -> None:
    """With the quorum lost, nobody who has a vote was removed: each of them could be what brings it back."""
    for name in life.hosts.voters.votes:
        node = life.lab.nodes.get("blue", name)
        assert node is not None
        assert node.state is not NodeState.GONE, f"{name}: {node}"
        assert name in life.hosts.swarm


@settings(max_examples=settings().max_examples // 2)
@given(
    steps=st.lists(STEPS, max_size=10),
    copies=COPIES,
    late=st.tuples(DELAYS, LAGS),
    fails=FAILS,
    recommendations=st.sampled_from(Recommendations),
)
@example(
    steps=[("notify", worker(0), 700.0), ("evacuate", MANAGERS[0], 40.0), ("leave", worker(0), 40.0)],
    **EVENTS_LOST,
)
@example(steps=[("evacuate", MANAGERS[0], 40.0), ("leave", worker(0), 40.0)], **EVENTS_LOST)
def test_any_history_ends_in_agreement(
    steps: list[tuple[str, str, float]],
    copies: list[int],
    late: tuple[list[float], float],
    fails: list[bool],
    recommendations: Recommendations,
) -> None:
    delays, lag = late
    life = Life(itertools.cycle(copies), itertools.cycle(delays), itertools.cycle(fails), lag)
    life.lab.settings.records["blue"] = ClusterSettings(recommendations, drills=True)
    for step, name, gap in steps:
        act(life, step, name)
        life.run(gap)
    life.call("resume")
    life.run(SETTLED_S)
    evacuated = [node for node in life.lab.nodes.list_all("blue") if node.state is NodeState.EVACUATED]
    for node in evacuated:  # for good
        life.call("give_back", instance=node.instance)
    life.run(SETTLED_S if evacuated else 1200)
    if not life.hosts.voters.quorum:
        waits(life)
        return
    if life.hosts.voters.lost:  # and came back; what was given up meanwhile, people have to order again
        call("redrive", {"cluster": "blue"}, life.lab.world(timeouts=life.timeouts))
        life.run(3600)
    agree(life)
    assert all(sent.task is not AgentTask.LEAVE or sent.arguments.targets for sent in life.hosts.sent)
    came = max(
        (node.since for node in life.lab.nodes.list_all("blue") if node.reason == "activated"), default=0.0
    )
    assert (
        came
        <= max((sent.at for sent in life.hosts.sent if sent.task is AgentTask.REBALANCE), default=0.0) + 1
    )
