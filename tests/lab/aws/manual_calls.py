"""Manual calls as people type them, and what becomes of the jobs that they give."""

from __future__ import annotations

import json
import shlex
import subprocess
from functools import partial
from typing import Any

from tests.lab.aws import deploy, lab_api
from tests.lab.observe import node_life
from tests.lab.state import Lab
from tests.lab.swarm import engine


def run_typed(lab: Lab, name: str, payload: str) -> subprocess.CompletedProcess[str]:
    """Run what the docs say: ``chalice invoke -n <name> --stage <stage> <<< '<JSON>'``."""
    return deploy.run_typed(
        lab, f"chalice invoke -n {name} --stage {deploy.STAGE} <<< {shlex.quote(payload)}"
    )


def make_call(lab: Lab, name: str, **payload: Any) -> dict[str, Any]:
    """Make a call that succeeds; answers what it returned."""
    done = run_typed(lab, name, json.dumps({"cluster": lab.cluster, **payload}))
    assert (done.returncode, done.stderr) == (0, ""), done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def expect_refusal(lab: Lab, name: str, payload: str | dict[str, Any]) -> str:
    """Make a call that is refused; answers its error line, without chalice's heading."""
    text = payload if isinstance(payload, str) else json.dumps({"cluster": lab.cluster, **payload})
    done = run_typed(lab, name, text)
    assert (done.returncode, done.stdout) == (1, ""), done
    first, second = (line for line in done.stderr.splitlines() if line)
    return second if first.startswith("Error: got '") else first.partition(": ")[2]


def job(lab: Lab, task: str) -> dict[str, Any]:
    """Read the record of a task's last job, empty where there was none."""
    return next((row for row in node_life.items(lab) if row["item"] == f"errand#{task}"), {})


def wait_ended(lab: Lab, task: str, seconds: float = 120, *, tick: bool = True) -> dict[str, Any]:
    """Wait until the job is over, with more ticks than the minute's own if so; answers its record."""

    def over() -> dict[str, Any] | None:
        if tick:
            node_life.tick(lab)
        found = job(lab, task)
        return found if found.get("stage", "done") != "open" else None

    return engine.wait_until(over, f"{task} is over", seconds=seconds, pause=3 if tick else 1)


def wait_in_service(lab: Lab, **settings: Any) -> None:
    """Wait until every host is in service; from then on nothing is rebalanced that nobody calls for."""
    node_life.tick(lab)
    engine.wait_until(partial(node_life.records, lab), "the cluster is known")
    assert "error" not in node_life.call(lab, "configure", rebalance=False, **settings)
    node_life.tick_until(lab, lab.hosts, "in-service", 240)
    if job(lab, "rebalance"):  # some were in service before that
        wait_ended(lab, "rebalance")


def count_commands(lab: Lab, task: str) -> int:
    """How many commands of a task were sent."""
    return len(lab_api.commands(lab, task))
