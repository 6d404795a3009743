"""Hand-made observations: three nodes, the services single, web and agents, and an event at 100 s."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.lab.demo.observation import Doomed, Left, Method, Moments, Observation
from tests.lab.observe.load import Answer
from tests.lab.observe.watch import Listing, Sample
from tests.lab.swarm.engine import Node, Task

EVENT, CUT, END = 100.0, 120.0, 140.0
WANTED: dict[str, int | None] = {"single": 1, "web": 2, "agents": None}
NAMES = {"d": "doomed", "x": "ten", "y": "eleven"}
DOOMED = Doomed("doomed", "i-0123456789abcdef0", "d")


def node(key: str, state: str = "ready") -> Node:
    """One of the nodes d, x, y."""
    instance = DOOMED.instance if key == "d" else f"i-{key}"
    return Node(key, NAMES[key], "worker", "active", state, False, "", "", instance)


def task(key: str, place: str, *, state: str = "running", desired: str = "running") -> Task:
    """Make a task such as single.1 or, a later one of the same slot, single.1b."""
    service, _, slot = key.partition(".")
    return Task(key, service, place, int(slot[:1]), state, desired, container=f"container of {key}")


def stopped(key: str, place: str) -> Task:
    """Make a task that Swarm has ended."""
    return task(key, place, state="shutdown", desired="shutdown")


BEFORE = (task("single.1", "d"), task("web.1", "d"), task("web.2", "x"), task("agents.0", "d"))
BOTH = (
    task("single.1b", "x"),
    stopped("single.1", "d"),
    task("web.1b", "y"),
    stopped("web.1", "d"),
    task("web.2", "x"),
    stopped("agents.0", "d"),
)


def listing(time: float, tasks: tuple[Task, ...], *, doomed: str = "ready") -> Listing:
    """Make a look at the swarm; ``doomed`` is the state of the doomed node, "" once it is removed."""
    nodes = [node("x"), node("y"), *([node("d", doomed)] if doomed else [])]
    return Listing(time, tasks, WANTED, tuple(nodes))


def sample(seen: Listing, delay: float = 0.0, *, power: bool = True) -> Sample:
    """Make a sample of that look, some time after it was made."""
    counts: dict[str, Counter[str]] = {service: Counter() for service in WANTED}
    for one in seen.tasks:
        if one.running and (power or one.node != "d"):
            counts[one.service][NAMES[one.node]] += 1
    running = {service: dict(counter) for service, counter in counts.items()}
    return Sample(seen.time + delay, seen.time, running, dict(WANTED))


def answer(time: float, service: str = "web", error: str = "") -> Answer:
    """Make a request and what became of it."""
    return Answer(time, service, not error, error, 0.01, "")


def observation(*listings: Listing, cut: float = CUT) -> Observation:
    """Make an observation of these looks, with two requests a second, all answered."""
    down = next((one.time for one in listings if any(n.state == "down" for n in one.nodes)), 0.0)
    removed = next((one.time for one in listings if all(n.id != "d" for n in one.nodes)), 0.0)
    specs = {"single": "{}", "web": "{}", "agents": "{}"}
    return Observation(
        method=Method.OURS,
        notice=cut - EVENT,
        doomed=DOOMED,
        moments=Moments(listings[0].time, EVENT, cut, down, removed, END),
        listings=listings,
        samples=tuple(sample(one, power=one.time < cut) for one in listings),
        answers=tuple(answer(95 + n, service) for n in range(40) for service in ("single", "web")),
        specs_before=specs,
        specs_after=dict(specs),
        left=Left("gone", ()),
    )


def evacuated() -> Observation:
    """All as it should be: replaced after 4 s, before anything stopped; removed after the power cut."""
    calm = [listing(time, BEFORE) for time in (95.0, 98.0, 99.9, 102.0)]
    safe = [listing(time, BOTH) for time in (104.0, 108.0, 112.0, 116.0, 119.9)]
    late = [listing(time, BOTH, doomed="down" if time > 131 else "ready") for time in (124.0, 128.0, 132.0)]
    return observation(*calm, *safe, *late, listing(134.0, BOTH, doomed=""), listing(138.0, BOTH, doomed=""))


def stopped_first() -> Observation:
    """Observe a plain drain: the old tasks end at 101 s, the new ones run at 107 s."""
    gone = (stopped("single.1", "d"), stopped("web.1", "d"), task("web.2", "x"))
    starting = (task("single.1b", "", state="pending"), task("web.1b", "y", state="starting"))
    dip = [listing(time, (*gone, *starting)) for time in (101.0, 104.0)]
    seen = observation(
        listing(99.0, BEFORE), *dip, *(listing(time, BOTH) for time in (107.0, 111.0, 115.0, 119.0))
    )
    return replace(seen, method=Method.DRAIN)
