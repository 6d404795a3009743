"""The cluster as a map: a row for each node, its tasks by service, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from tests.lab.demo.findings.facts import OVER
from tests.lab.demo.observation import Doomed, Moments
from tests.lab.observe.watch import Listing, Sample
from tests.lab.swarm.engine import Node, Task
from tests.lab.swarm.services import ANSWERING

COLORS: Mapping[str, str] = {"active": "green", "pause": "yellow", "drain": "yellow", "down": "red"}
LEGEND = (
    "● runs   [bold cyan]◆[/] new since the event   [yellow]○[/] starts   [dim]●[/] stops   [red]✗[/] lost"
)


@dataclass(frozen=True)
class Scene:
    """What the map shows: the swarm before the event and now, and what befalls whom."""

    first: Listing
    last: Listing
    sample: Sample | None
    doomed: Doomed | None
    moments: Moments
    now: float
    notice: float


def cluster_map(scene: Scene) -> Table:
    """Draw the map, with the sums that count in its last rows."""
    names = sorted(
        scene.first.wanted, key=lambda name: (name not in ANSWERING, scene.first.wanted[name] is None, name)
    )
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, padding=(0, 1))
    table.add_column("node", no_wrap=True)
    table.add_column("swarm", no_wrap=True, min_width=20)
    for name in names:
        table.add_column(name, no_wrap=True)
    known = {node.id: node for node in (*scene.last.nodes, *scene.first.nodes)}
    for node in sorted(known.values(), key=lambda node: (node.role != "manager", node.name)):
        cells = [_tasks(scene, node, name) for name in names]
        table.add_row(_name(scene, node), _standing(scene, node), *cells)
    table.add_section()
    table.add_row("", Text("running of wanted", "dim"), *(_sum(scene, name) for name in names))
    return table


def _name(scene: Scene, node: Node) -> Text:
    doomed = scene.doomed is not None and node.id == scene.doomed.node and scene.moments.event > 0
    leads = next((one.leader for one in scene.last.nodes if one.id == node.id), False)
    role = f"{node.role}{' ★' if leads else ''}"
    return Text.assemble((node.name, "bold red" if doomed else "bold"), "  ", (role, "dim"))


def _standing(scene: Scene, node: Node) -> Text:
    now = next((one for one in scene.last.nodes if one.id == node.id), None)
    word = "removed" if now is None else "down" if now.state == "down" else now.availability
    text = Text(word, COLORS.get(word, "dim"))
    if scene.doomed is None or node.id != scene.doomed.node or not scene.moments.event:
        return text
    if scene.moments.cut:
        return text.append("  ✗ no power", "bold red")
    left = max(0.0, scene.moments.event + scene.notice - scene.now)
    return text.append(f"  ⚠ ends in {left:.0f} s", "bold red")


def _tasks(scene: Scene, node: Node, service: str) -> Text:
    mine = [task for task in scene.last.tasks if task.node == node.id and task.service == service]
    old = {task.id for task in scene.first.tasks}
    dead = bool(scene.doomed and node.id == scene.doomed.node and scene.moments.cut)
    marks = [
        _mark(task, fresh=task.id not in old, dead=dead) for task in sorted(mine, key=lambda task: task.slot)
    ]
    return Text(" ").join(mark for mark in marks if mark)


def _mark(task: Task, *, fresh: bool, dead: bool) -> Text | None:
    if task.desired in OVER:
        return Text("●", "dim") if task.state == "running" and not dead else None
    if dead:
        return Text("✗", "bold red") if task.running else None
    if task.running:
        return Text("◆", "bold cyan") if fresh else Text("●", "green")
    return Text("○", "yellow") if task.state not in ("failed", "rejected") else Text("!", "bold red")


def _sum(scene: Scene, service: str) -> Text:
    wanted = scene.last.wanted.get(service)
    running = scene.sample.count(service) if scene.sample else 0
    if wanted is None:
        return Text(f"{running}", "dim")
    return Text(f"{running} of {wanted}", "green" if running >= wanted else "bold red")
