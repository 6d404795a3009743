"""Tasks that never leave a node: what is said of them, and what becomes of the quorum."""

from __future__ import annotations

import pytest

from bootstrap.engine.task import Task
from chalicelib.protocol.messages import Fate, Way
from tests.unit.bootstrap.support.evacuating import run
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm

JOB = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}


class BusySwarm(FakeSwarm):
    """Three managers, two workers, and on a manager a task of a job: Swarm does not stop it at a drain."""

    def __init__(self, node: str) -> None:
        super().__init__(managers=3, workers=2)
        self.job = ""
        self.add_service("nightly", 1, template={"Placement": {"Constraints": ["node.role==manager"]}})
        (task,) = self.of("nightly")
        self.job = task.id
        self.task_rows[task.id]["NodeID"] = node
        self.service_rows["nightly"]["Spec"]["Mode"] = JOB

    def _stop(self, task: Task) -> None:
        if task.id != self.job:
            super()._stop(task)


@pytest.mark.parametrize("notice", [40.0, 120.0])
def test_a_warned_manager_on_which_a_job_runs_is_demoted_at_the_end_of_its_notice(notice: float) -> None:
    swarm = BusySwarm("n02")
    began, demoted = swarm.time, []
    update = swarm.update_node

    def seen(node: object, **changes: object) -> None:
        if changes.get("Role") == "worker":
            demoted.append(swarm.time - began)
        update(node, **changes)  # type: ignore[arg-type]

    swarm.update_node = seen  # type: ignore[method-assign]
    result = run(swarm, "n02", notice=notice)
    assert result.nodes[0].fate is Fate.UNFINISHED
    assert {node.id: node.role for node in swarm.nodes()}["n02"] == "worker"
    assert demoted == [pytest.approx(notice - 5, abs=1)]


def test_tasks_of_a_job_that_stay_are_told_as_such() -> None:
    swarm = BusySwarm("n02")
    result = run(swarm, "n02", notice=40.0)
    assert [(row.service, row.tasks, row.way) for row in result.services] == [("nightly", 1, Way.STAYED)]
    assert "1 tasks are left on it" in result.nodes[0].detail


def test_a_manager_that_the_quorum_needs_is_not_demoted_even_then() -> None:
    swarm = BusySwarm("n02")
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    run(swarm, "n02", notice=40.0)
    assert {node.id: node.role for node in swarm.nodes()}["n02"] == "manager"
