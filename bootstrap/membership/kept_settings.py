"""Keep what people have set on a node when it is removed, for the next one; pure.

An instance that is stopped and started is a new node: labels and availability of the old one are its users'.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from bootstrap.engine.node import AVAILABILITIES, AVAILABILITY_LABEL, Node
from chalicelib.protocol import checks
from chalicelib.protocol.messages import Target

PREFIX = "swarmkeeper."  # of node labels that only Swarmkeeper sets


def settings_of(node: Node) -> dict[str, str]:
    """List the labels that people have set on a node, and the availability unless it is active."""
    labels = {key: value for key, value in node.labels.items() if not key.startswith(PREFIX)}
    wanted = node.wanted_availability
    return labels if wanted == "active" else {**labels, AVAILABILITY_LABEL: wanted}


def write_settings(node: Node) -> str:
    """Write a node's settings as a report has them; "" where they are too long to be kept."""
    text = json.dumps(settings_of(node), separators=(",", ":"), sort_keys=True)
    return "" if checks.kept_labels(text) else text


def read_settings(text: str) -> dict[str, str]:
    """Read what a record has kept; of our own labels only the availability counts."""
    if not text or checks.kept_labels(text):
        return {}
    found: Mapping[str, str] = json.loads(text)
    return {
        key: value
        for key, value in found.items()
        if not key.startswith(PREFIX) or (key == AVAILABILITY_LABEL and value in AVAILABILITIES)
    }


def settings_before(target: Target, node: Node, nodes: Collection[Node]) -> dict[str, str]:
    """Find what was set on an instance's former node: as listed, else as recorded."""
    listed = [other for other in nodes if other.id != node.id and other.instance == target.instance]
    if not listed:
        return read_settings(target.labels)
    return settings_of(max(listed, key=lambda other: other.version))


def explain_availability(node: Node) -> str:
    """Say that a node has no new tasks because people want it so; "" otherwise."""
    is_active = node.availability == "active"
    return "" if is_active else f"its availability is {node.availability}, as it was set by hand"
