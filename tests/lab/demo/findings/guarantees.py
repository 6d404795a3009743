"""What must hold when a host is taken away, and whether it did. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.lab.demo.findings.balance import Balance
from tests.lab.demo.findings.facts import SINGLE, Facts
from tests.lab.swarm.services import ANSWERING

HELD_MARGIN_S = 15.0  # of a notice: for the drain and the longest stop grace period on the node
MAX_BLIND_S = 5.0  # without a look, after which "no dip" would be a guess: Swarm's own dips last longer


@dataclass(frozen=True)
class Check:
    """One guarantee: what was wanted, what was measured, whether it held."""

    name: str
    wanted: str
    measured: str
    held: bool


def checks(facts: Facts) -> tuple[Check, ...]:
    """Every guarantee of an evacuation; measuring nothing holds none."""
    return (
        _requests(facts),
        _running(facts),
        _single(facts),
        _safe(facts),
        _replaced(facts),
        _specs(facts),
        _removed(facts),
        _record(facts),
        *_renewal(facts),
        *_held(facts),
        _strays(facts),
        _looks(facts),
    )


def held(facts: Facts) -> bool:
    """Whether every guarantee did."""
    return all(check.held for check in checks(facts))


def _requests(facts: Facts) -> Check:
    asked = " and ".join(row.service for row in facts.requests)
    measured = f"{facts.failed} of {facts.sent:,} failed"
    errors = sum((Counter(row.errors) for row in facts.requests), Counter[str]())
    why = ", ".join(f"{n} {kind}" for kind, n in errors.most_common())
    complete = {row.service for row in facts.requests if row.sent} >= set(ANSWERING)
    name = f"requests to {asked or 'the services'}"
    return Check(
        name, "none failed", f"{measured} ({why})" if why else measured, complete and not facts.failed
    )


def _running(facts: Facts) -> Check:
    fewest = ", ".join(f"{row.service} {row.fewest} of {row.wanted}" for row in facts.services)
    return Check(
        "fewest running tasks",
        "never fewer than wanted",
        fewest or "no service",
        facts.dip == 0 and bool(facts.services),
    )


def _single(facts: Facts) -> Check:
    known = any(row.service == SINGLE for row in facts.services)
    measured = f"{facts.outage:g} s" if known else "not deployed"
    return Check("without a replica of single", "0 s", measured, known and facts.outage == 0)


def _safe(facts: Facts) -> Check:
    lead = facts.moments.cut - facts.moments.event
    if facts.safe is None:
        return Check("safe before the power cut", f"within {facts.notice:.0f} s", "never", held=False)
    measured = f"{facts.safe:.1f} s after the event, {lead - facts.safe:.1f} s to spare"
    return Check("safe before the power cut", f"within {facts.notice:.0f} s", measured, facts.safe < lead)


def _replaced(facts: Facts) -> Check:
    return Check(
        "tasks replaced",
        f"the {facts.stood} of that node",
        f"{facts.replaced}",
        facts.replaced == facts.stood > 0 and all(move.doomed for move in facts.moves),
    )


def _specs(facts: Facts) -> Check:
    measured = f"changed: {', '.join(facts.changed)}" if facts.changed else "the same"
    return Check("service specs", "byte for byte as before", measured, not facts.changed)


def _removed(facts: Facts) -> Check:
    moments = facts.moments
    if not moments.removed:
        return Check("the dead node", "removed from the swarm", "still listed", held=False)
    measured = f"removed {moments.removed - moments.cut:.1f} s after the power cut"
    return Check("the dead node", "removed from the swarm", measured, moments.removed >= moments.cut > 0)


def _record(facts: Facts) -> Check:
    return Check("its record", "gone", facts.record or "none", facts.record == "gone")


def _renewal(facts: Facts) -> tuple[Check, ...]:
    """Of a fleet that replaces what is gone: the new host joins, and services are spread anew."""
    if not facts.fleet:
        return ()
    if facts.replacement is None:
        return (Check("its replacement", "in service", "none was launched", held=False),)
    moments = facts.moments
    took = f"in service {moments.joined - moments.cut:.1f} s after the power cut"
    joins = Check(
        "its replacement", "in service", took if moments.joined else "not in service", moments.joined > 0
    )
    return (joins, *(_balanced(one) for one in facts.balances), *_over(facts))


def _balanced(found: Balance) -> Check:
    """Even in the end, with no more moves than it takes."""
    spread = "/".join(map(str, found.after.values()))
    measured = f"{spread}, {found.started} started of {found.least} at least"
    good = found.apart <= 1 and found.started == found.least
    return Check(f"spread of {found.service}", "even, with the fewest moves", measured, good)


def _over(facts: Facts) -> tuple[Check, ...]:
    moments = facts.moments
    took = (
        f"ended {moments.balanced - moments.joined:.1f} s after the join"
        if moments.balanced
        else "did not end"
    )
    return (Check("the rebalance", "ended well", took, moments.balanced > 0),)


def _held(facts: Facts) -> tuple[Check, ...]:
    """Check what cannot start elsewhere: it serves but for the drain and its grace period, and is named."""
    if (act := facts.encore) is None:
        return ()
    measured = f"served {act.served_s:.0f} of {act.notice_s:.0f} s; {act.reason}"
    good = act.is_named and act.served_s >= act.notice_s - HELD_MARGIN_S
    return (Check("what cannot start elsewhere", "serves until the end, is named", measured, good),)


def _strays(facts: Facts) -> Check:
    measured = ", ".join(facts.strays) or "none"
    return Check("containers left over", "none", measured, not facts.strays)


def _looks(facts: Facts) -> Check:
    measured = f"{facts.looks:,} looks, {facts.blind:.1f} s without at most"
    good = facts.looks > 0 and facts.blind < MAX_BLIND_S
    return Check("the watch itself", f"never blind for {MAX_BLIND_S:g} s", measured, good)
