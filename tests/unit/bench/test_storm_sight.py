"""What is said of a storm on the lab."""

from __future__ import annotations

from bench.storm.sight import Command, safe_after, service
from tests.lab.observe.load import Answer
from tests.lab.observe.watch import Listing, Verdict
from tests.lab.swarm.engine import Task

UPDATE = "update service web (constraint)\n"


def look(time: float, node: str) -> Listing:
    """One look: the only task runs on that node."""
    task = Task("t-" + node, "web", node, 1, "running", "running")
    return Listing(time, (task,), {"web": 1}, ())


def test_a_node_is_safe_once_nothing_stands_on_it_to_the_end() -> None:
    looks = [look(9, "b"), look(11, "a"), look(12, "b"), look(13, "a"), look(14, "b"), look(15, "b")]
    assert safe_after(looks, "a", 10) == 4
    assert safe_after(looks, "c", 10) == 1
    assert safe_after(looks, "b", 10) is None


def test_updates_that_lost_a_race_do_not_count() -> None:
    lost = "update service web (x)\ncould not update service web (x): out of sequence\n"
    assert Command("evacuate", "m", UPDATE + lost + UPDATE).updates("web") == 2
    assert Command("evacuate", "m", UPDATE).updates("other") == 0


def test_a_service_has_its_own_requests_and_the_updates_of_all_commands() -> None:
    verdict = Verdict("web", 6, 6, 9, 0, 0.0, 0.0, 3)
    answers = [
        Answer(1.0, "web", ok=True, error="", seconds=0.1, who="w"),
        Answer(1.0, "single", ok=False, error="x", seconds=0.1, who=""),
    ]
    row = service(verdict, answers, [Command("evacuate", "m", UPDATE)] * 2)
    assert (row.sent, row.failed, row.updates, row.started) == (1, 0, 2, 3)
