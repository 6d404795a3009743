"""Who rebalances: one at a time, agents and operator alike, by a lease that stands in the swarm.

It is a Swarm config without use but for its labels: its name is unique, so only one can create it, and each
change names the version that it changes, so only one can win. It also tells when the last rebalance ended.

The times in it are by its holder's clock. So a holder is dead once its claim was seen unchanged for long
enough by one's own; what the times say only tells whether it is worth while to watch it.
"""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_hex

from bootstrap.clock import Clock
from bootstrap.engine.client import Config, ConflictError, Engine, RefusedError

LEASE_NAME = "swarmkeeper.rebalance"
LEASE_S = 30.0  # seconds after which a holder that does not renew it counts as dead
RENEW_AFTER_S = 5.0  # seconds after which it is renewed


@dataclass(frozen=True)
class Claim:
    """What the lease says: ``holder`` until ``until``, "" for nobody; when the last rebalance ``ended``."""

    holder: str = ""
    until: float = 0.0
    ended: float = 0.0

    @property
    def is_free(self) -> bool:
        """Nobody holds it, or what it says was never written by a holder."""
        return not self.holder or not self.until > 0

    def seems_over(self, now: float) -> bool:
        """Its holder has died, or one of the two clocks is wrong: only time tells which."""
        return not now < self.until <= now + LEASE_S


def read_claim(config: Config | None) -> Claim:
    """Read what a lease's labels say; nobody holds one that does not exist or cannot be read."""
    labels = config.labels if config else {}
    return Claim(labels.get("holder", ""), _number(labels.get("until")), _number(labels.get("ended")))


class Lease:
    """The lease as one run uses it. Every method raises EngineError where the engine does not answer."""

    def __init__(self, engine: Engine, clock: Clock, host: str) -> None:
        self._engine, self._clock = engine, clock
        self.me = f"{host} {token_hex(4)}"
        self._seen, self._seen_since, self._lives, self._renewed = Claim(), 0.0, False, 0.0

    def read(self) -> Claim:
        """Read what the lease says now."""
        return read_claim(self._engine.config(LEASE_NAME))

    def other_holder(self) -> str:
        """Tell who else holds it now; "" where it is free or ours."""
        claim = self.read()
        return claim.holder if claim.holder != self.me and self._is_held(claim) else ""

    def may_be_dead(self) -> bool:
        """Tell whether whoever holds it has not been seen to live, and seems to have died."""
        return self._seen.seems_over(self._clock.now()) and not self._lives

    def take(self) -> bool:
        """Take or renew it; False where somebody else holds it or was first."""
        config, now = self._engine.config(LEASE_NAME), self._clock.now()
        claim = read_claim(config)
        if claim.holder != self.me and self._is_held(claim):
            return False
        if claim.holder == self.me and self._renewed <= now < self._renewed + RENEW_AFTER_S:
            return True
        is_taken = self._write(config, Claim(self.me, now + LEASE_S, claim.ended))
        self._renewed = now if is_taken else self._renewed
        return is_taken

    def _is_held(self, claim: Claim) -> bool:
        """Tell whether its holder may live: by this clock, its claim has not stood for long enough."""
        now = self._clock.now()
        if claim != self._seen:
            self._lives = claim.holder == self._seen.holder
            self._seen, self._seen_since = claim, now
        return not claim.is_free and now < self._seen_since + LEASE_S

    def release(self, *, ended: bool) -> None:
        """Let it go, where it is ours; with ``ended`` the cool-down begins."""
        config, now = self._engine.config(LEASE_NAME), self._clock.now()
        claim = read_claim(config)
        if claim.holder == self.me:
            self._write(config, Claim("", 0.0, now if ended else claim.ended))

    def _write(self, config: Config | None, claim: Claim) -> bool:
        """Write the claim; False where somebody else was first. Raises EngineError for any other refusal."""
        labels = {"holder": claim.holder, "until": f"{claim.until:.1f}", "ended": f"{claim.ended:.1f}"}
        try:
            if config:
                self._engine.update_config(config, labels)
            else:
                self._engine.create_config(LEASE_NAME, labels)
        except ConflictError:
            return False
        except RefusedError:
            if config or self._engine.config(LEASE_NAME) is None:
                raise
            return False
        return True


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
