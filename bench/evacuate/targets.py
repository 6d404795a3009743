"""What the evacuation bench asks for, and what of it was met. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.lab.demo.findings.facts import Facts
from tests.lab.demo.observation import Method

SLOWER = 2.0  # how many times as long as the plain drain may it take


@dataclass(frozen=True)
class Target:
    """One target: what was asked, what was measured, whether it was met."""

    name: str
    asked: str
    measured: str
    met: bool


def targets(found: Mapping[Method, Facts]) -> tuple[Target, ...]:
    """List the targets for our way, the time to safety against that of the plain drain in the same run."""
    ours, plain = found[Method.OURS], found[Method.DRAIN]
    return (
        Target("requests failed", "0", str(ours.failed), ours.failed == 0 and ours.sent > 0),
        Target("tasks missing at worst", "0", str(ours.dip), ours.dip == 0 and ours.looks > 0),
        Target("without a replica of single", "0 s", f"{ours.outage:g} s", ours.outage == 0),
        Target("tasks replaced", f"{ours.stood}", f"{ours.replaced}", ours.replaced == ours.stood > 0),
        _time(ours, plain),
    )


def _time(ours: Facts, plain: Facts) -> Target:
    name = "time to safe"
    if ours.safe is None or plain.safe is None:
        return Target(name, f"at most {SLOWER:g}x the plain drain's", "not safe", met=False)
    asked = f"at most {SLOWER * plain.safe:.1f} s ({SLOWER:g}x the plain drain's)"
    return Target(
        name, asked, f"{ours.safe:.1f} s ({ours.safe / plain.safe:.1f}x)", ours.safe <= SLOWER * plain.safe
    )
