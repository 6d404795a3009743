"""The story in its steps, each with its time and its numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.demo.findings.balance import Spread
from tests.lab.demo.findings.facts import Facts


@dataclass(frozen=True)
class Step:
    """One step: seconds from the event, None where it did not come."""

    name: str
    seconds: float | None
    told: str


def story_of(facts: Facts) -> tuple[Step, ...]:
    """From the interruption to the even spread; of a lab without a fleet up to the removal."""
    moments = facts.moments
    return (
        Step("interruption warning", 0.0, f"{facts.doomed.host}, {facts.stood} replicated tasks on it"),
        Step("evacuated", facts.safe, f"{facts.replaced} tasks replaced, {facts.dip} missing at worst"),
        Step(
            "power cut",
            _after(facts, moments.cut),
            f"{facts.failed} of {facts.sent:,} requests failed in all",
        ),
        Step("the swarm calls it Down", _after(facts, moments.down), ""),
        Step(
            "removed from the swarm", _after(facts, moments.removed), f"its record: {facts.record or 'none'}"
        ),
        *_renewal(facts),
    )


def _renewal(facts: Facts) -> tuple[Step, ...]:
    if facts.replacement is None:
        return ()
    joined, balanced = (_after(facts, moment) for moment in (facts.moments.joined, facts.moments.balanced))
    moved = sum(one.started for one in facts.balances)
    spreads = "; ".join(f"{one.service} {_row(one.before)} to {_row(one.after)}" for one in facts.balances)
    return (
        Step("replacement in service", joined, facts.replacement.host),
        Step("rebalanced", balanced, f"{moved} tasks moved: {spreads}" if spreads else ""),
    )


def _row(spread: Spread) -> str:
    return "/".join(map(str, spread.values()))


def _after(facts: Facts, moment: float) -> float | None:
    return round(moment - facts.moments.event, 1) if moment else None
