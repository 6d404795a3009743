"""One run of a rebalance as values: what it is asked, what it has done, what it does next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.specs.exclusion import has_exclusion
from bootstrap.specs.steadiness import Steadiness
from bootstrap.specs.surge import Surge, surge_of
from chalicelib.protocol.messages import Balance, Mode, Rebalance

RETRY_S = 60.0  # after which what could not be begun is to be tried again
RETRY_BUSY_S = 300.0  # the same for what others are at work on, which may take as long as it likes
WAVE_TIMEOUT_S = (60.0, 300.0)  # seconds for a wave's tasks to run, at least and at most
FOREIGN_SURGE_S = 30.0  # for which another run's surge is watched at least before it counts as late
REFUSAL_TIMEOUT_S = 60.0  # for which a change is tried again that the engine refuses


@dataclass(frozen=True)
class Outcome:
    """What became of one service, and after how many seconds to try again (0: never)."""

    balance: Balance
    reason: str = ""
    wait: float = 0.0


@dataclass(frozen=True)
class Wave:
    """What was last begun for a service, when ``left`` moves were planned over these ``nodes`` (ids)."""

    mode: Mode
    left: float
    nodes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Run:
    """One run: what it is asked, what it works on (service ids), what it has done so far."""

    asked: Rebalance
    services: tuple[str, ...]
    leftovers: tuple[str, ...]  # not asked for, but marked by an earlier run: only to be ended
    started: float  # seconds since the epoch, as is the deadline
    deadline: float
    changed_at: float  # when something was last begun or ended
    moved: int = 0
    waves: Mapping[str, Wave] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)  # whose surge is given up, and why
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    refused: Mapping[str, float] = field(default_factory=dict)  # since when the engine will not change them
    steadiness: Steadiness = field(default_factory=Steadiness)
    surges: Mapping[str, tuple[Surge, float]] = field(default_factory=dict)  # and since when they stand so

    def with_poll(self, snapshot: Snapshot, now: float) -> Run:
        """Note what runs and which surges stand, by this run's own clock."""
        found = {one.id: surge for one in snapshot.services if one.is_replicated and (surge := surge_of(one))}
        known = {key: self.surges.get(key, (surge, now)) for key, surge in found.items()}
        surges = {key: known[key] if known[key][0] == surge else (surge, now) for key, surge in found.items()}
        return replace(self, steadiness=self.steadiness.with_poll(snapshot, now), surges=surges)

    def is_late(self, service: str, surge: Surge, now: float) -> bool:
        """Tell whether the tasks of a surge have had their time.

        One that another run began tells its end by that run's clock: it is late if that is over and nothing
        has changed for a while, or if it has stood for longer than any surge may.
        """
        if service in self.waves:
            return now > surge.until
        stood = now - self.surges.get(service, (surge, now))[1]
        return (now > surge.until and stood >= FOREIGN_SURGE_S) or stood > WAVE_TIMEOUT_S[1]

    def with_outcome(self, service: str, balance: Balance, reason: str = "", wait: float = 0.0) -> Run:
        return replace(self, outcomes={**self.outcomes, service: Outcome(balance, reason, wait)})

    def with_wave(self, service: str, wave: Wave) -> Run:
        return replace(self, waves={**self.waves, service: wave})

    def with_refusal(self, service: Service, now: float) -> Run:
        """Note that the engine would not change a service; for a minute that may be an election."""
        key = service.id
        run = replace(self, refused={key: self.refused.get(key, now)})
        if not run.is_refused_for_good(key, now) or key not in (*self.services, *self.leftovers):
            return run
        span = f"{REFUSAL_TIMEOUT_S:.0f} s"
        why = f"the engine has refused for {span} to change it (the log shows why); it is as it was"
        unfinished = surge_of(service) or has_exclusion(service)
        return run.with_outcome(key, Balance.FAILED, why, RETRY_BUSY_S if unfinished else 0.0)

    def is_refused_for_good(self, service: str, now: float) -> bool:
        """Tell whether the engine has refused for so long that others come first."""
        return now >= self.refused.get(service, now) + REFUSAL_TIMEOUT_S

    @property
    def moves_left(self) -> int:
        """How many moves it may still make; below 0 for any number."""
        return max(0, self.asked.max_moves - self.moved) if self.asked.max_moves else -1

    @property
    def is_over(self) -> bool:
        """Every service has its outcome."""
        return all(key in self.outcomes for key in (*self.services, *self.leftovers))

    @property
    def retry_after(self) -> float:
        """In how many seconds to go on, for the service that is due first; 0 for none.

        After a failure only what was left in the middle goes on: people are to hear of it.
        """
        found = (
            one for one in self.outcomes.values() if one.balance is Balance.FAILED or not self.first_failed
        )
        return min((one.wait for one in found if one.wait), default=0.0)

    @property
    def first_failed(self) -> str:
        """The id of the first service that failed, "" while none did."""
        return next((key for key, one in self.outcomes.items() if one.balance is Balance.FAILED), "")


@dataclass(frozen=True)
class NextStep:
    """What to do or to wait for; neither when all is over. ``run`` holds once the update is made."""

    run: Run
    update: UpdateService | None = None
    waiting: str = ""
