"""What a storm at scale cost and how soon all was safe, and which targets that meets. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.evacuate.targets import Target
from bench.storm import plan
from bench.storm.scale import Storm
from bench.storm.virtual.limits import GUARD

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})
NOTICE = 120.0
SENT_WITHIN = plan.WINDOW + 30.0  # seconds to the last command, beyond what the emulator itself needs
CALLS_AN_EVENT = 5.0  # of DynamoDB
SSM_A_SECOND, EC2_A_SECOND = 20, 10  # calls of one cluster
TARGETS = 100  # nodes that one command can carry
FIRST = 12  # commands that may go out while a storm is still gathering, and for second attempts


@dataclass(frozen=True)
class Rate:
    """Calls of a second: how many in all, the most in one second, the mean over the storm."""

    total: int
    most: int
    mean: float


@dataclass(frozen=True)
class Facts:
    """One storm. All seconds run from its first event, those of nodes from their first warning.

    ``lost``: nodes that were warned and are not evacuated. ``late``: those that were told after their notice.
    ``strangers``: targets of commands that nobody was warned of. ``wait`` is the mean of a handler's wait for
    a run, in seconds, reserved or of this machine. It and ``slowest`` leave out guards, which wait by design.
    ``last_command``: the one that was a node's first, the latest of them. ``emulator``: seconds that the
    table was at work until then, beyond the storm's own. ``refused``: calls that it throttled.
    """

    size: int
    events: int
    duplicates: int
    foreign: int
    lost: int
    late: int
    strangers: int
    ssm: Rate
    ec2: Rate
    database: Rate
    writes: Rate
    sends: int
    withdrawn: int
    targets: float
    fullest: int
    last_command: float
    last_evacuated: float
    safe_median: float
    safe_p99: float
    failures: int
    errors: dict[str, int]
    slowest: float
    wait: float
    refused: int = 0
    emulator: float = 0.0

    @property
    def calls_an_event(self) -> float:
        """Return how many calls of DynamoDB an event cost."""
        return round(self.database.total / max(self.events, 1), 1)


def facts(storm: Storm) -> Facts:
    """Everything that can be said about it."""
    span = max(storm.over - storm.began, 1.0)
    database = [(one.second, one.number) for one in storm.database]
    writes = [(one.second, one.number) for one in storm.database if one.name in WRITES]
    safe = _safe(storm)
    ran = [one for one in storm.invocations if one.handler != GUARD]
    sizes = [len(set(one.targets)) for one in storm.work]
    known = set(storm.states)
    first = find_first((one.began, one.targets) for one in storm.work)
    last_command = max((time - storm.began for time in first.values()), default=0.0)
    return Facts(
        size=storm.size,
        events=len(storm.warned),
        duplicates=sum(one.again for _, one in storm.warned),
        foreign=sum(one.foreign for _, one in storm.warned),
        lost=sum(state != "evacuated" for state in storm.states.values()),
        late=sum(seconds > NOTICE for seconds in safe) + len(known) - len(safe),
        strangers=len({name for one in storm.work for name in one.targets} - known),
        ssm=_called(storm, "ssm:", span),
        ec2=_called(storm, "ec2:", span),
        database=rate(database, span),
        writes=rate(writes, span),
        sends=sum(action == "ssm:SendCommand" for _, action in storm.api),
        withdrawn=sum(action == "ssm:CancelCommand" for _, action in storm.api),
        targets=round(sum(sizes) / len(sizes), 1) if sizes else 0.0,
        fullest=max(sizes, default=0),
        last_command=round(last_command, 1),
        last_evacuated=round(storm.over - storm.began, 1),
        safe_median=percentile(safe, 0.5),
        safe_p99=percentile(safe, 0.99),
        failures=sum(bool(one.error) for one in storm.invocations),
        errors=dict(Counter(one.error.partition(":")[0] for one in storm.invocations if one.error)),
        slowest=round(max((one.ended - one.began for one in ran), default=0.0), 1),
        wait=_mean([one.began - one.sent for one in ran]),
        refused=storm.refused,
        emulator=_busy(storm, last_command),
    )


def _busy(storm: Storm, seconds: float) -> float:
    """Return for how long the emulated table was at work, until the last command, beyond the storm itself."""
    until = storm.began + seconds
    parts = [min(end, until) - max(begin, storm.began) for begin, end in storm.busy]
    return round(max(sum(part for part in parts if part > 0.0) - plan.WINDOW, 0.0), 1)


def rate(calls: Iterable[tuple[int, int]], span: float) -> Rate:
    """Of calls as (second, number), over a span of seconds."""
    seconds: Counter[int] = Counter()
    for second, number in calls:
        seconds[second] += number
    total = seconds.total()
    return Rate(total, max(seconds.values(), default=0), round(total / span, 1))


def percentile(values: Sequence[float], part: float) -> float:
    """Find the smallest value that at least that part of all does not exceed; 0 of nothing."""
    ranked = sorted(values)
    index = max(0, -int(-part * len(ranked) // 1) - 1)
    return round(ranked[index], 1) if ranked else 0.0


def find_first(work: Iterable[tuple[float, Iterable[str]]]) -> dict[str, float]:
    """Find when each node had its first command; of (time, targets), in any order.

    A command that lasts is sent to a second manager too: that is no node's first one.
    """
    first: dict[str, float] = {}
    for time, names in sorted((time, tuple(names)) for time, names in work):
        first |= {name: time for name in names if name not in first}
    return first


def targets(found: Sequence[Facts]) -> tuple[Target, ...]:
    """List what is asked of the largest storm; of all, that nothing is lost."""
    last = found[-1]
    lost, late = sum(one.lost for one in found), sum(one.late for one in found)
    strangers = sum(one.strangers for one in found)
    commands = -(-last.size // TARGETS) + FIRST
    return (
        Target("nodes lost", "0 in all storms", str(lost), lost == 0),
        Target("told safe after the notice", "0 in all storms", str(late), late == 0),
        Target("nodes touched without a warning", "0", str(strangers), strangers == 0),
        _most("SSM calls in a second", SSM_A_SECOND, last.ssm.most),
        _most("EC2 calls in a second", EC2_A_SECOND, last.ec2.most),
        _most("commands", commands, last.sends),
        _most("DynamoDB calls for an event", CALLS_AN_EVENT, last.calls_an_event),
        _most("seconds to the last command", SENT_WITHIN + last.emulator, last.last_command),
        _most("seconds to the last record evacuated", NOTICE, last.last_evacuated),
    )


def _most(name: str, limit: float, measured: float) -> Target:
    return Target(name, f"at most {limit:g}", f"{measured:g}", measured <= limit)


def _called(storm: Storm, service: str, span: float) -> Rate:
    return rate(((int(time), 1) for time, action in storm.api if action.startswith(service)), span)


def _safe(storm: Storm) -> list[float]:
    """For each node that was reported, the seconds from its first warning to the first report."""
    warned: dict[str, float] = {}
    for time, one in storm.warned:
        warned.setdefault(one.host.instance, time)
    ended = find_first((work.ended, work.targets) for work in storm.work)
    return [time - warned[name] for name, time in ended.items() if name in storm.states]


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 2) if values else 0.0
