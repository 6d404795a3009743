"""A peer that is gone is forgotten once, and never one that lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.engine.networking.calls import NetworkCalls
from bootstrap.errors import AgentError
from bootstrap.network.peers import GonePeer, PeerStep, next_peer_step, remove_peer
from bootstrap.network.plugin import NetworkHost
from bootstrap.network.router import Router
from bootstrap.network.router_status import RouterStatus, read_status
from tests.unit.bootstrap.network.support import samples

THIRD = GonePeer("ip-10-231-77-3", "10.231.77.3")
PAGE = samples.MANAGER.replace("2 established, 1 failed", "1 established, 2 failed")
DEAD = read_status(PAGE, f"{samples.OURSELF}\n{samples.SECOND}\n{samples.LOST}")
GONE = read_status(
    samples.MANAGER.replace("3 (2 established, 1 failed)", "2 (1 established, 1 failed)").replace(
        "Peers: 3", "Peers: 2"
    ),
    f"{samples.OURSELF}\n{samples.SECOND}",
)


class ForgetfulRouter(Router):
    """It tells these pages one after the other, the last for ever."""

    def tell(self, pages: Sequence[RouterStatus]) -> ForgetfulRouter:
        object.__setattr__(self, "pages", list(pages))
        object.__setattr__(self, "orders", [])
        return self

    def status(self) -> RouterStatus:
        pages: list[RouterStatus] = self.__dict__["pages"]
        return pages.pop(0) if len(pages) > 1 else pages[0]

    def remove_peer(self, name: str) -> str:
        self.__dict__["orders"].append(f"DELETE {name}")
        return "0 IPs taken over"

    def forget(self, address: str) -> str:
        self.__dict__["orders"].append(f"forget {address}")
        return ""


def remove(pages: Sequence[RouterStatus], peer: GonePeer, *, dry_run: bool = False) -> tuple[str, list[str]]:
    router, times = ForgetfulRouter().tell(pages), iter(range(1000, 2000))
    host = NetworkHost(cast("Engine", None), cast("NetworkCalls", None), router)
    said = remove_peer(host, peer, Clock(lambda: next(times), lambda _: None), dry_run=dry_run)
    return said, router.__dict__["orders"]


def test_a_dead_managers_addresses_come_back_and_nobody_connects_to_it() -> None:
    said, orders = remove([DEAD, DEAD, DEAD, GONE], THIRD)
    assert orders == ["DELETE ip-10-231-77-3", "forget 10.231.77.3"]
    assert said == "done: 2 peers, 1 connections established"


def test_all_but_one_peer_only_forget() -> None:
    _, orders = remove([DEAD, DEAD, GONE], GonePeer(THIRD.name, THIRD.address, takes_over=False))
    assert orders == ["forget 10.231.77.3"]


def test_a_peer_that_lives_is_never_removed() -> None:
    with pytest.raises(AgentError, match=r"left as it is: ip-10-231-77-3 is connected at 10\.231\.77\.3"):
        remove([samples.manager_status()], THIRD)


def test_a_host_does_not_remove_itself() -> None:
    with pytest.raises(AgentError, match="this host itself"):
        remove([samples.manager_status()], GonePeer("ip-10-231-77-1"))


def test_an_answer_tells_no_success_and_the_status_page_does() -> None:
    step, why = next_peer_step(DEAD, THIRD, frozenset({PeerStep.TAKE_OVER, PeerStep.FORGET}), waited=False)
    assert (step, "still tried at 10.231.77.3" in why) == (PeerStep.WAIT, True)
    with pytest.raises(AgentError, match="still tried"):
        remove([DEAD], THIRD)


def test_a_dry_run_orders_nothing() -> None:
    assert remove([DEAD], THIRD, dry_run=True) == ("take over: its addresses come back", [])
