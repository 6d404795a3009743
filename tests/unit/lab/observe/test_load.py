"""No request of a load gets lost: what is under way at its end is waited for and counted."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.lab.observe import load


def test_requests_under_way_at_the_end_are_waited_for_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = 0

    async def slow(*_: object) -> str:
        nonlocal begun
        begun += 1
        if begun == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.3)
        raise ConnectionRefusedError

    monkeypatch.setattr(load, "_resolve", slow)
    out = tmp_path / "answers.jsonl"
    asyncio.run(load.ask_steadily(out, 100, ["web"]))
    answers = load.read(out)
    assert len(answers) == begun >= 3
    assert {(answer.ok, answer.error) for answer in answers} == {(False, "ConnectionRefusedError")}
