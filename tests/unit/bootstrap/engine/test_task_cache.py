"""What an evacuation reads of tasks that are of no concern to it: seldom all, and never too little."""

from __future__ import annotations

from typing import Any

from bootstrap.engine.client import EngineError
from bootstrap.engine.task import Task
from bootstrap.engine.task_cache import MAX_AGE_S, READ_SHARE
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, Fate, Result, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

TWO_CPUS = {"Reservations": {"NanoCPUs": 2 * 10**9}}  # half of what a node has
GPU = {"Reservations": {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}}


class Counted(FakeSwarm):
    """It notes when all tasks are read, which may take some ``seconds``, or be refused."""

    seconds = 0.0
    refused = False

    def __init__(self, workers: int = 3) -> None:
        super().__init__(managers=1, workers=workers)
        self.readings: list[float] = []
        self.avail("n01", "drain")

    def tasks(self, **filters: list[str]) -> tuple[Task, ...]:
        if not filters:
            self.readings.append(self.time)
            if self.refused:
                raise EngineError("the engine did not list all tasks")
            if self.seconds:
                self.sleep(self.seconds)
        return super().tasks(**filters)


def evacuated(swarm: FakeSwarm, number: int) -> Result:
    target = Target(instance(number), f"10.0.0.{number}")
    return evacuate.run(swarm, Arguments((target,), swarm.time + 120), swarm.clock)


def serving_tasks(resources: dict[str, Any], workers: int = 3) -> Counted:
    swarm = Counted(workers)
    swarm.add_service("web", 2, template={"Resources": resources})
    return swarm


def gaps(swarm: Counted) -> list[float]:
    return [after - before for before, after in zip(swarm.readings, swarm.readings[1:], strict=False)]


def test_without_reservations_or_host_ports_all_tasks_are_never_read() -> None:
    swarm = serving_tasks({})
    assert evacuated(swarm, 2).nodes[0].fate is Fate.SAFE
    assert swarm.readings == []


def test_where_room_counts_all_tasks_are_read_at_most_every_few_seconds() -> None:
    swarm = serving_tasks(TWO_CPUS)
    swarm.sick = {"n03", "n04"}
    assert evacuated(swarm, 2).nodes[0].fate is Fate.DRAINED
    assert len(swarm.readings) > 2
    assert min(gaps(swarm)) >= MAX_AGE_S


def test_a_swarm_that_takes_long_to_list_them_is_asked_still_less_often() -> None:
    swarm = serving_tasks(TWO_CPUS)
    swarm.seconds = 4.0
    assert evacuated(swarm, 2).nodes[0].fate is Fate.SAFE
    assert all(gap >= (1 + READ_SHARE) * swarm.seconds for gap in gaps(swarm))


def test_room_that_other_services_have_taken_is_seen() -> None:
    swarm = serving_tasks(TWO_CPUS, workers=2)
    swarm.add_service("other", 2, template={"Resources": TWO_CPUS})
    result = evacuated(swarm, 2)
    assert result.nodes[0].fate is Fate.DRAINED
    assert {row.reason for row in result.services} == {"no other node has room for it"}


def test_room_counts_for_generic_resources_too() -> None:
    swarm = Counted(workers=2)
    for node in ("n02", "n03"):
        gpus = GPU["Reservations"]["GenericResources"]
        swarm.node_rows[node]["Description"]["Resources"]["GenericResources"] = gpus
    swarm.add_service("one", 1, template={"Resources": GPU})
    swarm.add_service("two", 1, template={"Resources": GPU})
    result = evacuated(swarm, 2)
    assert {row.reason for row in result.services} == {"no other node has room for it"}


def test_what_can_never_be_read_keeps_no_task_from_moving() -> None:
    swarm = serving_tasks(TWO_CPUS)
    swarm.refused = True
    assert evacuated(swarm, 2).nodes[0].fate is Fate.SAFE
    assert swarm.fewest["web"] == 2
    assert min([MAX_AGE_S, *gaps(swarm)]) >= MAX_AGE_S
