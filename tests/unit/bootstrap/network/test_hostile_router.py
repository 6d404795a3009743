"""Whatever the router's pages hold: a status, or one line of error; a peer's nickname hides no other peer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.network.router_status import StatusError, read_status
from tests.unit.bootstrap.network.support import samples

pytestmark = pytest.mark.fuzz
PAGES = (samples.MANAGER, samples.WORKER, samples.UNTARGETED, "")


def check(status: str, connections: str) -> None:
    try:
        found = read_status(status, connections)
    except StatusError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ways are good ones
        assert len(str(error)) < 400  # noqa: PT017
        return
    found.find_faults(3, "10.32.0.0/12")


@given(st.sampled_from(PAGES) | st.text(), st.text())
def test_any_page(status: str, connections: str) -> None:
    check(status, connections)


@given(st.sampled_from(PAGES), st.integers(0, 2000), st.text(max_size=5), st.integers(0, 20))
def test_a_genuine_page_with_other_characters_in_it(page: str, at: int, text: str, gone: int) -> None:
    check(page[:at] + text + page[at + gone :], samples.LINKS)
    links = samples.LINKS
    check(samples.MANAGER, links[:at] + text + links[at + gone :])


@given(st.text(max_size=80))
def test_a_nickname_of_any_letters_hides_no_other_peer(nickname: str) -> None:
    status = read_status(samples.MANAGER, samples.LINKS.replace("ip-10-231-77-2", nickname))
    assert status.connected >= {"10.231.77.2", "10.231.77.3"}
    assert status.links[-1].peer == "ip-10-231-77-3"
