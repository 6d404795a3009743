"""Engines old and new: each is spoken to in its own newest version of the API."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.engine.client import Engine, EngineError, RefusedError
from bootstrap.engine.decode import read_service
from tests.unit.bootstrap.support.fake_engine import FakeEngine
from tests.unit.bootstrap.support.listening_engine import Listening, listening

ENGINES = [Listening("1.41", "1.12"), Listening("1.48", "1.24"), Listening("1.52", "1.44")]


def service() -> dict[str, Any]:
    fake = FakeEngine()
    return fake.service_rows[fake.add_service("web")]


@pytest.mark.parametrize("like", ENGINES, ids=lambda like: like.newest)
def test_an_engine_is_asked_once_what_it_speaks_and_then_spoken_to_in_that(like: Listening) -> None:
    rows = {"/services": [service()], "/tasks": [], "/networks": []}
    with listening(Listening(like.newest, like.oldest, rows)) as heard:
        engine = Engine(heard.address)
        assert heard.asked == []
        (found,) = engine.services()
        engine.tasks()
        engine.networks()
        engine.update_service(found, dict(found.spec))
        engine.node_events(1)
    said = [f"{method} {path.partition('?')[0]}" for method, path in heard.asked]
    version = f"/v{like.newest}"
    assert said == [
        "GET /version",
        f"GET {version}/services",
        f"GET {version}/tasks",
        f"GET {version}/networks",
        f"POST {version}/services/web/update",
        "GET /version",  # who listens for long may meet another engine
        f"GET {version}/events",
    ]


def test_an_engine_that_was_replaced_by_a_newer_one_is_asked_anew() -> None:
    with listening(Listening("1.41", rows={"/services": [service()]})) as heard:
        engine = Engine(heard.address)
        assert engine.services() == (read_service(service()),)
        heard.newest, heard.oldest = "1.52", "1.44"
        with pytest.raises(EngineError, match=r"client version 1\.41 is too old.*try again") as failure:
            engine.services()
        assert not isinstance(failure.value, RefusedError), "it is no refusal of what was asked"
        assert engine.services() == (read_service(service()),)
