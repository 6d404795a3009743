"""What handlers and hosts say to each other, as one line of JSON.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
A handler sends ``<task> <arguments JSON>``; the agent answers with one result line on stdout.
Run Command keeps the first 24,000 characters of stdout, so a result never grows past ``MAX_LINE``.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from typing import Any

from chalicelib.protocol import checks
from chalicelib.protocol.messages import Arguments, End, Mode, Rebalance, Result, SpreadReport, Target, Way
from chalicelib.protocol.network_order import NetworkOrder
from chalicelib.protocol.network_order_fields import read_network_order
from chalicelib.protocol.result_fields import FAR, read_result
from chalicelib.protocol.strict_json import ProtocolError, find_objects, read_object

# Arguments that travel, and are stored, under the name that they had in version 0.1; both are read.
STORED_NAMES = {"targets": "subjects", "inspection": "look"}
MAX_LINE = 20_000
MAX_STDOUT = 24_000
MAX_ARGUMENTS = 64_000  # characters; Run Command takes no more
PLAIN_FIELDS = ("zone", "kind", "lifecycle")  # of a target
LEFT_WELL = frozenset({Way.START_FIRST, Way.GLOBAL})
MODES = [mode.value for mode in Mode]
# By ``kept`` and ``lasting`` of a target, which said the same in commands that may be in flight still.
FORMER_FLAGS = {
    (False, False): End.NOT_SAID,
    (False, True): End.ANNOUNCED,
    (True, True): End.FOR_GOOD,
    (True, False): End.FOR_A_WHILE,
}
MODE = checks.matching(re.compile("|".join([*MODES, ""])), " or ".join(MODES))


def encode_arguments(arguments: Arguments) -> str:
    """Encode arguments as one line of JSON; what only some tasks have is left out where it is empty."""
    optional = {"managers", "role", "labels", "rebalance", "inspection", "sent", "fresh", "description"}
    given = {name: value for name, value in asdict(arguments).items() if value or name not in optional}
    if arguments.rebalance == Rebalance():
        del given["rebalance"]
    if arguments.network == NetworkOrder():
        del given["network"]
    given["targets"] = [_target_row(target) for target in arguments.targets]
    given = {STORED_NAMES.get(name, name): value for name, value in given.items()}
    return json.dumps(given, separators=(",", ":"), sort_keys=True)


def decode_arguments(text: str, left_out: list[tuple[str, str]] | None = None) -> Arguments:
    """Decode arguments from JSON; raises ProtocolError naming the field that is wrong.

    With a list ``left_out`` a target that is none does not stop the others: its instance, "" where even that
    is none, and what is wrong with it go into the list. Where all are none that is an error too.
    """
    message = read_object(text, "arguments", MAX_ARGUMENTS)
    _known(message, {row.name for row in fields(Arguments)} | set(STORED_NAMES.values()), "arguments")
    message |= {name: message[stored] for name, stored in STORED_NAMES.items() if stored in message}
    return Arguments(
        _targets(_list(message, "targets"), left_out),
        _moment(message, "deadline"),
        tuple(map(_address, _list(message, "managers"))),
        _role(message.get("role", "")),
        _labels(message.get("labels", {})),
        _rebalance(message.get("rebalance", {})),
        int(_count(message, "inspection")),
        _moment(message, "sent"),
        _flag(message, "fresh"),
        read_network_order(message.get("network", {}), "network"),
        _text(message, "description"),
    )


def encode_result(result: Result) -> str:
    """Encode a result as one line of at most MAX_LINE characters.

    To fit, the hosts of the widest spreads are dropped, then service reports (those of tasks that left well
    first), then the longest of the nodes' labels, then the nodes' details and the error are cut, then the
    last rows of what ``inspect`` saw are dropped, then the last hosts of the inventory and then all of it,
    then the last nodes that are down. The fate of a node, or of a service in a rebalance, is never left out.
    """
    while True:
        line = json.dumps(_result_row(result), separators=(",", ":"), sort_keys=True)
        smaller = _smaller(result)
        if len(line) <= MAX_LINE or smaller == result:
            return line
        result = smaller


def _result_row(result: Result) -> dict[str, Any]:
    row = asdict(result)
    for report in row["nodes"]:
        for name in ("differs", "labels"):
            if not report[name]:
                del report[name]
    if not result.inventory:
        del row["inventory"]
    if result.listing:
        row["listing"]["down"] = [_target_row(target) for target in result.listing.down]
        if not result.listing.managers:
            del row["listing"]["managers"]
    return row


def _target_row(target: Target) -> dict[str, Any]:
    """Return a target as JSON knows it; what EC2 says of it is left out where it is empty."""
    optional = {"role", "labels", "end", *PLAIN_FIELDS}
    return {name: value for name, value in asdict(target).items() if value or name not in optional}


def _smaller(result: Result) -> Result:
    rows = result.facts.get("nodes") or []
    if widest := max(map(_hosts, result.spreads), default=0):
        cut_down = tuple(_narrower(row) if _hosts(row) == widest else row for row in result.spreads)
        return replace(result, spreads=cut_down, left_out=result.left_out + 1)
    if result.services:
        keep = len(result.services) * 3 // 4
        left_out = result.left_out + len(result.services) - keep
        kept = sorted(result.services, key=lambda report: report.way in LEFT_WELL)[:keep]
        return replace(result, services=tuple(kept), left_out=left_out)
    if any(node.labels for node in result.nodes):
        return _fewer_labels(result)
    if longest := max(
        (len(text) for text in (result.error, *(node.detail for node in result.nodes))), default=0
    ):
        cut = tuple(replace(node, detail=node.detail[: longest * 3 // 4]) for node in result.nodes)
        return replace(result, nodes=cut, error=result.error[: longest * 3 // 4])
    if rows:
        keep = len(rows) * 3 // 4
        facts = {**result.facts, "nodes": rows[:keep]}
        return replace(result, facts=facts, left_out=result.left_out + len(rows) - keep)
    return _less_inventory(result) if result.inventory else _fewer_down(result)


def _fewer_labels(result: Result) -> Result:
    """Drop the longest labels, of one node: as many others as possible keep theirs."""
    at = max(range(len(result.nodes)), key=lambda at: len(result.nodes[at].labels))
    cut = replace(result.nodes[at], labels="")
    nodes = (*result.nodes[:at], cut, *result.nodes[at + 1 :])
    return replace(result, nodes=nodes, left_out=result.left_out + 1)


def _less_inventory(result: Result) -> Result:
    """Drop hosts first: what networks and stacks there are is short, unless somebody lies."""
    inventory = result.inventory
    if inventory is None or not inventory.hosts:
        return replace(result, inventory=None, left_out=result.left_out + 1)
    keep = len(inventory.hosts) * 3 // 4
    left_out = result.left_out + len(inventory.hosts) - keep
    return replace(result, inventory=replace(inventory, hosts=inventory.hosts[:keep]), left_out=left_out)


def _fewer_down(result: Result) -> Result:
    down = result.listing.down if result.listing else ()
    if result.listing is None or not down:
        return result
    keep = len(down) * 3 // 4
    left_out = result.left_out + len(down) - keep
    return replace(result, listing=replace(result.listing, down=down[:keep]), left_out=left_out)


def _hosts(spread: SpreadReport) -> int:
    return len(spread.before) + len(spread.plan) + len(spread.after)


def _narrower(spread: SpreadReport) -> SpreadReport:
    return replace(spread, before={}, plan={}, after={})


def decode_result(stdout: str) -> Result:
    """Decode the last result in an agent's stdout, wherever it stands; raises ProtocolError if there is none.

    Python, a shell or a wrapper may print warnings before it and after it, also on its own line. A host can
    print anything: each field is validated, and each text cut and made printable.
    """
    lines = stdout.strip().splitlines()
    if not lines:
        raise ProtocolError("the agent printed nothing")
    objects = [row for line in lines for row in find_objects(line)] or lines[-1:]
    error = ProtocolError()
    for number, text in enumerate(reversed(objects)):
        try:
            result: Result = read_result(read_object(text, "result", MAX_STDOUT), "result")
        except ProtocolError as wrong:
            error = error if number else wrong
        else:
            return result
    raise error


def _targets(rows: list[Any], left_out: list[tuple[str, str]] | None) -> tuple[Target, ...]:
    found = []
    for row in rows:
        try:
            found.append(_target(row))
        except ProtocolError as error:
            if left_out is None or (row is rows[-1] and not found):
                raise
            instance = row.get("instance") if isinstance(row, dict) else None
            left_out.append(("" if checks.instance_id(instance) else str(instance), str(error)))
    return tuple(found)


def _target(row: Any) -> Target:
    if not isinstance(row, dict):
        raise ProtocolError(checks.wrong("a target", "an object", row))
    _known(row, {one.name for one in fields(Target)} | {"kept", "lasting"}, "a target")
    instance, address, node = (str(row.get(name, "")) for name in ("instance", "address", "node"))
    plain = {name: str(row.get(name, "")) for name in PLAIN_FIELDS}
    labels = row.get("labels", "")
    _require("labels", checks.kept_labels, labels)
    role, version = _role(row.get("role", "")), int(_count(row, "version"))
    zone, kind, lifecycle = plain.values()
    target = Target(instance, address, node, version, role, zone, kind, lifecycle, labels, _end(row))
    _require("instance", checks.instance_id, target.instance)
    _require("address", checks.address, target.address)
    _require("node", checks.node_id, target.node)
    for name, value in plain.items():
        _require(name, checks.word, value)
    return target


def _end(row: dict[str, Any]) -> End:
    """Read what is known of an instance's end."""
    if "end" in row:
        _require("end", checks.one_of(End), row["end"])
        return End(row["end"])
    return FORMER_FLAGS[_flag(row, "kept"), _flag(row, "lasting")]


def _address(value: Any) -> str:
    _require("a manager's address", checks.address, value)
    return str(value)


def _role(value: Any) -> str:
    _require("role", checks.role, value)
    return str(value)


def _labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ProtocolError(checks.wrong("labels", "an object of strings", value))
    return value


def _rebalance(value: Any) -> Rebalance:
    if not isinstance(value, dict):
        raise ProtocolError(checks.wrong("rebalance", "an object", value))
    _known(value, {row.name for row in fields(Rebalance)}, "rebalance")
    services = tuple(map(str, _list(value, "services")))
    mode, dry_run = value.get("mode", ""), value.get("dry_run", False)
    _require("mode", MODE, mode)
    _require("dry_run", checks.flag, dry_run)
    moves, *spans = (_count(value, name) for name in ("max_moves", "settle", "cooldown"))
    return Rebalance(services, str(mode), dry_run, int(moves), *spans)


def _flag(message: dict[str, Any], name: str) -> bool:
    value = message.get(name, False)
    _require(name, checks.flag, value)
    return bool(value)


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name, "")
    if not isinstance(value, str):
        raise ProtocolError(checks.wrong(name, "a text", value))
    return value


def _count(message: dict[str, Any], name: str) -> float:
    value = message.get(name, 0)
    if not checks.is_number(value) or not 0 <= value < FAR:
        raise ProtocolError(checks.wrong(name, "a number from 0 on", value))
    return value


def _moment(message: dict[str, Any], name: str) -> float:
    value = message.get(name, 0.0)
    if not checks.is_number(value) or not 0 <= value < FAR:
        raise ProtocolError(checks.wrong(name, "seconds since the epoch", value))
    return float(value)


def _require(field: str, check: checks.Check, value: Any) -> None:
    if wanted := check(value):
        raise ProtocolError(checks.wrong(field, wanted, value))


def _list(message: dict[str, Any], field: str) -> list[Any]:
    rows = message.get(field, [])
    if not isinstance(rows, list):
        raise ProtocolError(checks.wrong(field, "a list", rows))
    return rows


def _known(message: dict[str, Any], fields: set[str], what: str) -> None:
    if unknown := sorted(set(message) - fields):
        known = ", ".join(sorted(fields))
        raise ProtocolError(f"{what}: unknown field {checks.show(unknown[0])}; known are {known}")
