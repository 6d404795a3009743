"""``agent stack status``: what runs of each stack, of which images and configs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from bootstrap.engine.client import Engine
from bootstrap.engine.network import NAMESPACE_LABEL
from bootstrap.engine.service import Service
from bootstrap.engine.task import Task

HEADER = ("stack", "service", "running", "update", "image", "configs")


@dataclass(frozen=True)
class ServiceStatus:
    """One service of a stack: of ``wanted`` tasks so many are ``running``; ``error`` is the last one's."""

    stack: str
    service: str
    wanted: int
    running: int
    update: str
    image: str
    configs: tuple[str, ...]
    error: str = ""


def read_status(engine: Engine, is_chosen: Callable[[str], bool]) -> list[ServiceStatus]:
    """Read what runs of the stacks that are chosen by their names."""
    engine.node_id()
    services = [one for one in engine.services() if is_chosen(one.labels.get(NAMESPACE_LABEL, ""))]
    tasks = engine.tasks(service=[one.id for one in services]) if services else ()
    found = [_judge(one, [task for task in tasks if task.service == one.id]) for one in services]
    return sorted(found, key=lambda one: (one.stack, one.service))


def is_whole(status: Iterable[ServiceStatus]) -> bool:
    """Tell whether all that is wanted runs."""
    return all(one.running >= one.wanted for one in status)


def as_json(status: Sequence[ServiceStatus]) -> str:
    """Write it for programs, in one line."""
    return json.dumps([asdict(one) for one in status])


def table(status: Sequence[ServiceStatus]) -> str:
    """Lay it out for people; why a task does not run has a line of its own."""
    rows = [
        (
            one.stack,
            one.service,
            f"{one.running}/{one.wanted}",
            one.update or "-",
            one.image,
            " ".join(one.configs),
        )
        for one in status
    ]
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    lines = ["  ".join(word.ljust(width) for word, width in zip(HEADER, widths, strict=True)).rstrip()]
    for one, row in zip(status, rows, strict=True):
        lines.append("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"  {one.service}: {one.error}"] if one.error and one.running < one.wanted else []
    return "\n".join(lines)


def _judge(service: Service, tasks: Sequence[Task]) -> ServiceStatus:
    container = service.template.get("ContainerSpec") or {}
    alive = [task for task in tasks if task.is_wanted]
    errors = sorted((task for task in tasks if task.error), key=lambda task: task.since)
    return ServiceStatus(
        stack=service.labels[NAMESPACE_LABEL],
        service=service.name,
        wanted=service.replicas if service.is_replicated else len(alive),
        running=sum(task.is_running for task in tasks),
        update=service.update,
        image=str(container.get("Image", "")),
        configs=tuple(sorted(str(one.get("ConfigName", "")) for one in container.get("Configs") or ())),
        error=errors[-1].error if errors else "",
    )
