"""Work in a cluster in memory that is to be sent or is under way, and who was sent some."""

from __future__ import annotations

from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import MANAGERS, START, Lab, a_node


def three_managers() -> Lab:
    """Make a lab of which nothing is recorded but its managers."""
    lab = Lab(settled=False)
    lab.managers.record("blue", MANAGERS)
    lab.nodes.register([a_node(instance=name, role=Role.MANAGER) for name in MANAGERS])
    return lab


def open_work(lab: Lab, *names: str, state: NodeState = NodeState.EVACUATING) -> None:
    nodes = [a_node(instance=name, state=state, deadline=START + 120, due=START) for name in names]
    lab.nodes.register(nodes)


def sent_to(lab: Lab) -> list[str]:
    return [sent.manager for sent in lab.hosts.sent]


def out(lab: Lab, manager: str, *names: str) -> None:
    """Evacuations that are under way, a command for each."""
    lab.nodes.register(
        [
            a_node(
                instance=name,
                state=NodeState.EVACUATING,
                deadline=START + 120,
                due=START + 30,
                command=f"c-{name}",
                manager=manager,
            )
            for name in names
        ]
    )
