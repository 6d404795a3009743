"""Empty the nodes of interrupted instances: make before break, inside one time budget."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from bootstrap.actions import Action, ChangeNode, DemoteNode, PauseNode, try_action
from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.engine.node import Node
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task_cache import TaskCache
from bootstrap.evacuation import deadline_label
from bootstrap.evacuation.plan import next_actions
from bootstrap.evacuation.report import EvacuationReport
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.take_away import has_leftovers
from bootstrap.membership.kept_settings import write_settings
from bootstrap.membership.node_lookup import explain_absence, nodes_of
from bootstrap.specs.steadiness import Steadiness
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import DONE, AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 0.25
ENGINE_SILENCE_TIMEOUT_S = 9.0  # without any answer for so long, another manager shall do the work
STILL_MANAGER = "it is empty, but still a manager: the others would have no quorum without it"
WHY_PROMOTED = "the managers that stay would have had no majority without it"
PROOF_MARGIN_S = 5.0  # before the deadline, from which it is not waited for that replacements stay
OVERTIME_S = 5.0  # past the deadline, for which a run still watches: notices are best effort


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Evacuate the targets' nodes until they are empty and every service is restored, or time is over.

    Managers that do not come back have to be workers by then, too: the agent's own host last.

    Targets that are no node are reported as absent and fail the task; nothing is changed for them. Raises
    EngineError where the engine does not answer at the start or for 9 s, or its swarm not until the deadline.
    """

    def gives_up() -> bool:
        """Wait for a new leader, not for an engine: without a leader, no manager can say who it is."""
        return clock.now() > arguments.deadline or not (engine.has_answered and engine.is_alive())

    self_id = until_deadline(engine.node_id, clock, arguments.deadline, POLL_S, gives_up)
    evacuation = Evacuation(engine, arguments, clock, self_id)
    return until_deadline(evacuation.poll, clock, arguments.deadline, POLL_S, evacuation.gives_up)


@dataclass
class Evacuation:
    """One run: who runs it, what it has seen so far, and when the engine last answered."""

    engine: Engine
    arguments: Arguments
    clock: Clock
    self_id: str
    report: EvacuationReport = field(default_factory=EvacuationReport)
    steadiness: Steadiness = field(default_factory=Steadiness)
    promoted: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.answered = self.clock.now()
        self.task_cache = TaskCache(self.engine, self.clock)

    def poll(self) -> Result | None:
        """Do what can be done now, repeatedly while all of it works; answer the result at the end."""
        while True:
            snapshot = self._snapshot()
            self.answered = now = self.clock.now()
            mine = living_nodes(self.arguments.targets, snapshot)
            self.steadiness = self.steadiness.with_poll(snapshot, now)
            scene = Scene(snapshot, now, self.steadiness.sure_tasks(snapshot, now))
            self.report = self.report.with_poll(scene, mine, now - self.started)
            # A node that its admin made active would end what was begun for it: pause it first, poll anew.
            actions = _pauses(self.arguments, snapshot, now) or self._next_actions(scene)
            voting = voting_nodes(self.arguments.targets, snapshot)
            is_over = all(_is_over(node, scene) for node in mine) and not has_leftovers(scene)
            if not (is_proven := self.report.is_proven or now > self.arguments.deadline - PROOF_MARGIN_S):
                actions = tuple(action for action in actions if not self._demotes_itself(action))
            is_done = not actions and not voting and is_over and is_proven
            if is_done or now > self.arguments.deadline + OVERTIME_S:
                return self._result(snapshot)
            done = [try_action(self.engine, action) for action in actions]
            self.promoted |= {found.id: found for found in map(_promoted, actions, done) if found}
            if any(map(self._demotes_itself, actions)) and all(done):  # it cannot ask any more
                return self._result(without_vote(snapshot, self.self_id))
            if not (done and all(done)):
                return None

    def _next_actions(self, scene: Scene) -> tuple[Action, ...]:
        is_lasting = any(target.is_lasting for target in self.arguments.targets)
        return next_actions(scene, self.self_id, is_lasting=is_lasting)

    def _result(self, snapshot: Snapshot) -> Result:
        """Report on the targets, and on nodes that were promoted in their place."""
        result = _result(self.arguments.targets, snapshot, self.report)
        rows = (
            NodeReport(node.instance, node.id, Fate.PROMOTED, WHY_PROMOTED) for node in self.promoted.values()
        )
        return replace(result, nodes=(*result.nodes, *rows))

    def _demotes_itself(self, action: Action) -> bool:
        return isinstance(action, DemoteNode) and action.node.id == self.self_id

    def gives_up(self) -> bool:
        """Decide whether to leave the work to another manager.

        An election or a busy engine: the budget, not the first refusal, decides. But what an engine that is
        dead cannot do, another manager can, as long as there is time.
        """
        now = self.clock.now()
        if now > self.arguments.deadline:
            return True
        return now > self.answered + ENGINE_SILENCE_TIMEOUT_S and not self.engine.is_alive()

    def _snapshot(self) -> Snapshot:
        nodes = self.engine.nodes()
        mine = [node.id for target in self.arguments.targets for node in nodes_of(target, nodes)]
        return self.engine.snapshot(mine, self.report.service_ids, self.task_cache.tasks)


def _is_over(node: Node, scene: Scene) -> bool:
    """Tell whether a node is empty, or may keep its tasks as no end is announced."""
    is_late = scene.now > (node.evacuation_deadline or 0.0)
    return scene.snapshot.is_drained(node) or (node.is_gentle and is_late and node.availability != "drain")


def living_nodes(targets: Collection[Target], snapshot: Snapshot) -> tuple[Node, ...]:
    """Find the living nodes of the targets."""
    found = (node for target in targets for node in nodes_of(target, snapshot.nodes)[:1])
    return tuple(node for node in found if not node.is_down)


def voting_nodes(targets: Collection[Target], snapshot: Snapshot) -> tuple[Node, ...]:
    """Find the living managers among the targets that do not come back: the quorum must not hang on them."""
    return tuple(
        node
        for node in living_nodes([target for target in targets if target.is_lasting], snapshot)
        if node.has_vote
    )


def without_vote(snapshot: Snapshot, node_id: str) -> Snapshot:
    """Return the snapshot with one manager as the worker that it becomes."""
    nodes = (
        replace(node, spec={**node.spec, "Role": "worker"}, reachability="") if node.id == node_id else node
        for node in snapshot.nodes
    )
    return replace(snapshot, nodes=tuple(nodes))


def _promoted(action: Action, done: bool) -> Node | None:  # noqa: FBT001 - of map
    if isinstance(action, ChangeNode) and action.changes.get("Role") == "manager" and done:
        return action.node
    return None


def _pauses(arguments: Arguments, snapshot: Snapshot, now: float) -> tuple[Action, ...]:
    return tuple(
        PauseNode(
            node,
            deadline_label.text(deadline, target.version, node, gentle=target.is_gentle),
            "it is evacuated",
        )
        for target in arguments.targets
        for node in living_nodes([target], snapshot)
        if (
            deadline := deadline_label.new_deadline(
                target.version, arguments.deadline, node, now, gentle=target.is_gentle
            )
        )
        is not None
    )


def _result(targets: Collection[Target], snapshot: Snapshot, report: EvacuationReport) -> Result:
    nodes = tuple(_node_report(target, snapshot, report) for target in targets)
    ok = all(row.fate in DONE - {Fate.ABSENT} for row in nodes)
    return Result(AgentTask.EVACUATE, ok, nodes, report.service_reports(snapshot))


def _node_report(target: Target, snapshot: Snapshot, report: EvacuationReport) -> NodeReport:
    found = nodes_of(target, snapshot.nodes)
    if not found:
        return NodeReport(target.instance, "", Fate.ABSENT, explain_absence(target))
    node = found[0]
    seconds, labels = report.emptied_after(node.id), write_settings(node)
    row = NodeReport(target.instance, node.id, Fate.SAFE, seconds=seconds, labels=labels)
    if node.is_down:
        return replace(row, fate=Fate.DOWN, detail="it was down: Swarm itself replaces its tasks")
    if not snapshot.is_drained(node):
        left = sum(task.is_present for task in snapshot.tasks_on([node.id]))
        why = report.kept_tasks(node.id, snapshot)
        text = f"{left} tasks are left on it" + (f", of {why}" if why else "")
        return replace(row, fate=Fate.UNFINISHED, detail=text)
    if node in voting_nodes([target], snapshot):
        return replace(row, fate=Fate.UNFINISHED, detail=STILL_MANAGER)
    if broken := report.broken_tasks(node.id, snapshot):
        return replace(row, fate=Fate.DRAINED, detail=f"stopped before they were replaced: {broken}")
    return row
