"""Who rebalances: one at a time, agents and operator alike, by a lease that stands in the swarm.

It is a Swarm config without use but for its labels: its name is unique, so only one can create it, and each
change names the version that it changes, so only one can win. It also tells when the last rebalance ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_hex

from bootstrap.clock import Clock
from bootstrap.engine.client import Config, ConflictError, Engine, RefusedError

LEASE_NAME = "swarmkeeper.rebalance"
LEASE_S = 30.0  # seconds after which a holder that does not renew it counts as dead
RENEW_AFTER_S = 5.0  # seconds after which it is renewed
MAX_SKEW_S = 30.0  # seconds by which a holder's clock may run ahead; one that claims more holds nothing


@dataclass(frozen=True)
class Claim:
    """What the lease says: ``holder`` until ``until``, "" for nobody; when the last rebalance ``ended``."""

    holder: str = ""
    until: float = 0.0
    ended: float = 0.0

    def valid(self, now: float) -> bool:
        """Tell whether somebody holds it; a claim from a clock that was far ahead counts as none."""
        return bool(self.holder) and now < self.until <= now + LEASE_S + MAX_SKEW_S


def read_claim(config: Config | None) -> Claim:
    """Read what a lease's labels say; nobody holds one that does not exist or cannot be read."""
    labels = config.labels if config else {}
    return Claim(labels.get("holder", ""), _number(labels.get("until")), _number(labels.get("ended")))


class Lease:
    """The lease as one run uses it. Every method raises EngineError where the engine does not answer."""

    def __init__(self, engine: Engine, clock: Clock, host: str) -> None:
        self._engine, self._clock = engine, clock
        self.me = f"{host} {token_hex(4)}"

    def read(self) -> Claim:
        """Read what the lease says now."""
        return read_claim(self._engine.config(LEASE_NAME))

    def other_holder(self) -> str:
        """Tell who else holds it now; "" where it is free or ours."""
        claim = self.read()
        return claim.holder if claim.holder != self.me and claim.valid(self._clock.now()) else ""

    def take(self) -> bool:
        """Take or renew it; False where somebody else holds it or was first."""
        config, now = self._engine.config(LEASE_NAME), self._clock.now()
        claim = read_claim(config)
        if claim.holder != self.me and claim.valid(now):
            return False
        if claim.holder == self.me and claim.until - now > LEASE_S - RENEW_AFTER_S:
            return True
        return self._write(config, Claim(self.me, now + LEASE_S, claim.ended))

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
