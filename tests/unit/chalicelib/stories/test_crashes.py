"""Handlers may die between any two effects of any plan: the tick alone then leads to the right end."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.admin.calls import call
from chalicelib.errors import CallError
from chalicelib.events import FleetFailed
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.instance import Role
from chalicelib.state.job import MAX_ATTEMPTS, JobStage
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.stories.support.agreement import agree
from tests.unit.chalicelib.support.fakes import MANAGERS, START, instance
from tests.unit.chalicelib.support.killer import Killed
from tests.unit.chalicelib.support.mortal import SOON, Mortal
from tests.unit.chalicelib.support.simulation import worker

pytestmark = pytest.mark.usefixtures("quiet")
NODE = worker(0)
FLEET = "fleet-598fb973-87b7-422d-be4d-6b0809bfff0a"  # of the sample
CHANGE = START + 1200
PARTS = pytest.mark.parametrize(
    "others", [pytest.param(False, id="some"), pytest.param(True, id="others", marks=pytest.mark.exhaustive)]
)


def crashes(first: int, last: int, *, others: bool) -> Iterator[tuple[int, bool]]:
    """Answer where a handler dies, before or after an effect: every seventh place, or all others."""
    places = itertools.product(range(first, last + 1), (False, True))
    return (place for number, place in enumerate(places) if (number % 7 != 0) == others)


def launched(life: Mortal) -> None:
    life.hear()
    life.launch(NODE)


def launched_for_a_group(life: Mortal) -> None:
    life.launch(NODE)
    life.hear()
    life.scale_out(NODE)


def scaled_in(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    life.hear()
    life.scale_in(NODE)


def interrupted(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    life.hear()
    life.warn(NODE)


def recommended_to_leave(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    life.hear()
    life.recommend(NODE)


def drilled(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    life.drill(NODE)


def scheduled(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    announced(life)


def announced(life: Mortal) -> None:
    life.hear()
    life.announce(NODE, CHANGE)


def scheduled_while_it_joined(life: Mortal) -> None:
    life.hosts.failing = {AgentTask.JOIN}
    life.launch(NODE)
    life.run(130)
    announced(life)
    life.run(130)
    life.hosts.failing = set()


def scheduled_while_it_was_out(life: Mortal) -> None:
    recommended_to_leave(life)
    life.run(90)
    announced(life)


def notified_by_its_fleet(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    life.hear()
    life.notify(NODE)


def failed_to_launch(life: Mortal) -> None:
    launched(life)
    life.run(300)
    life.lab.nodes.owners[FLEET] = "blue"
    life.hear()
    life.tell(FleetFailed, "ec2_fleet_error")


def by_hand(life: Mortal, which: str, **payload: object) -> None:
    """Have a person order, and again when the call breaks."""
    try:
        life.call(which, **payload)
    except Killed:
        life.killer.dead = False
        life.call(which, **payload)


def evacuated_by_hand_for_a_while(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    by_hand(life, "evacuate", instance=NODE, seconds=60, give_back=120)


def evacuated_for_good_and_given_back(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    by_hand(life, "evacuate", instance=NODE, seconds=60)
    life.run(1100)
    node = life.lab.nodes.get("blue", NODE)
    assert node is not None
    assert node.state is NodeState.EVACUATED
    by_hand(life, "give_back", instance=NODE)


def warned_while_paused(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    by_hand(life, "pause")
    life.hear()
    life.warn(NODE)
    life.run(70)
    by_hand(life, "resume")


def recommended_to_leave_and_configured_not_to(life: Mortal) -> None:
    life.launch(NODE)
    life.run(300)
    by_hand(life, "configure", recommendations="ignore")
    life.hear()
    life.recommend(NODE)


def given_up_and_driven_again(life: Mortal) -> None:
    life.hosts.failing = {AgentTask.JOIN}
    life.launch(NODE)
    life.run(4000)
    life.hosts.failing = set()
    for _ in range(2):  # who ordered sees that it failed, and orders again
        try:
            call("redrive", {"cluster": "blue"}, life.lab.world(timeouts=SOON))
        except Killed:
            life.killer.dead = False


def given_up_for_a_group(life: Mortal) -> None:
    life.hosts.failing = {AgentTask.JOIN}
    launched_for_a_group(life)
    life.run(3500)


def ordered(which: str, **payload: str) -> Any:
    """Have a person order a task and, when the call breaks, not again."""

    def story(life: Mortal) -> None:
        life.run(100)
        with contextlib.suppress(Killed, CallError):
            call(which, {"cluster": "blue", **payload}, life.lab.world(timeouts=SOON))
        life.killer.dead = False

    story.__name__ = which
    return story


ORDERS = [
    ordered("init", instance=MANAGERS[0]),
    ordered("rotate_tokens"),
    ordered("promote", instance=MANAGERS[1]),
    ordered("rebalance"),
]


@pytest.mark.parametrize("story", ORDERS, ids=lambda story: story.__name__)
@pytest.mark.parametrize("broken", [False, True], ids=["done", "given up"])
@PARTS
def test_a_crash_at_any_effect_of_a_job_is_repaired_by_ticks(
    story: Any, *, broken: bool, others: bool
) -> None:
    task = AgentTask(story.__name__.replace("_", "-"))
    for at, after in crashes(0, lived_errand(story, task, 0, broken=broken).killer.count, others=others):
        life = lived_errand(story, task, at, after=after, broken=broken)
        if (at, after) == (1, False):
            continue  # nothing was recorded; who ordered it saw the call break
        (job,) = life.lab.jobs.list_all("blue")
        assert job.stage is (JobStage.FAILED if broken else JobStage.DONE), job
        assert len([sent for sent in life.hosts.sent if sent.task is task]) <= (MAX_ATTEMPTS if broken else 2)
        assert (len(life.lab.messages.published) >= 1) == broken
        assert len(life.lab.messages.published) <= 2, "once more only after a crash"


@pytest.mark.parametrize("broken", [False, True], ids=["done", "given up"])
@PARTS
def test_a_recovery_is_sent_at_most_once_whatever_crashes(*, broken: bool, others: bool) -> None:
    story = ordered("recover", instance=MANAGERS[0], confirm="blue")
    last = lived_errand(story, AgentTask.RECOVER, 0, broken=broken).killer.count
    for at, after in crashes(0, last, others=others):
        life = lived_errand(story, AgentTask.RECOVER, at, after=after, broken=broken)
        if (at, after) == (1, False):
            continue
        (job,) = life.lab.jobs.list_all("blue")
        sent = [one for one in life.hosts.sent if one.task is AgentTask.RECOVER]
        assert len(sent) <= 1
        assert not job.is_open
        if job.stage is JobStage.FAILED and not broken:
            assert life.lab.messages.published, "what may have been done is told if nobody knows"
        if job.stage is JobStage.DONE:
            assert sent


def lived_errand(story: Any, task: AgentTask, at: int, *, after: bool = False, broken: bool) -> Mortal:
    life = Mortal(at, after=after)
    life.hosts.failing = {task} if broken else set()
    story(life)
    life.run(2400)
    return life


def a_manager_lost_and_replaced(life: Mortal) -> None:
    life.hear()
    life.terminate(MANAGERS[0])
    life.launch(instance(200), role=Role.MANAGER)


def a_manager_scaled_in(life: Mortal) -> None:
    life.hear()
    life.scale_in(MANAGERS[1])


def removed_by_hand(life: Mortal) -> None:
    life.timeouts = replace(SOON, inspection_period_s=300.0)
    life.launch(NODE)
    life.run(600)
    life.hear()
    life.remove(NODE)


STORIES = [
    launched,
    a_manager_lost_and_replaced,
    a_manager_scaled_in,
    launched_for_a_group,
    scaled_in,
    interrupted,
    recommended_to_leave,
    drilled,
    scheduled,
    scheduled_while_it_joined,
    scheduled_while_it_was_out,
    notified_by_its_fleet,
    failed_to_launch,
    evacuated_by_hand_for_a_while,
    evacuated_for_good_and_given_back,
    warned_while_paused,
    recommended_to_leave_and_configured_not_to,
    given_up_and_driven_again,
    given_up_for_a_group,
    removed_by_hand,
]
TOLD = [failed_to_launch, given_up_and_driven_again, given_up_for_a_group]


def lived(story: Any, at: int, *, after: bool) -> Mortal:
    life = Mortal(at, after=after)
    story(life)
    life.run(1900)
    return life


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@PARTS
def test_a_crash_at_any_effect_of_any_plan_is_repaired_by_ticks(story: Any, *, others: bool) -> None:
    total = lived(story, 0, after=False).killer.count
    assert total > 4
    for at, after in crashes(1, total, others=others):
        life = lived(story, at, after=after)
        agree(life)
        told = len(life.lab.messages.published)
        assert (story in TOLD) <= told <= 2, "at least once, and once more only after a crash"
        if story.__name__.startswith("scheduled"):
            emptied = [sent.at for sent in life.hosts.sent if sent.task is AgentTask.EVACUATE]
            assert CHANGE - SOON.scheduled_change_s <= max(emptied) < CHANGE


@pytest.mark.parametrize("story", [given_up_and_driven_again, given_up_for_a_group])
def test_work_given_up_notifies_people_once(story: Any) -> None:
    life = lived(story, 0, after=False)
    ((subject, text),) = life.lab.messages.published
    assert subject == f"Swarmkeeper blue: {NODE}"
    assert "join was given up after 12 attempts: Failed: swarmkeeper: it broke" in text
    assert "the instance runs, but is no node of the swarm" in text
    assert "chalice invoke -n redrive" in text
