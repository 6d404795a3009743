"""The workers of the storm bench run no more of a handler at once than is reserved for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.storm import lambdas, scale
from bench.storm.virtual.limits import GUARD, WARNINGS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WORKER = """
import json, sys, threading, time
def run(row):
    began = time.time()
    time.sleep(0.1)
    print(json.dumps({"id": row["id"], "began": began, "ended": time.time(), "error": ""}), flush=True)
for line in sys.stdin:
    threading.Thread(target=run, args=(json.loads(line),)).start()
"""


def test_given_reserved_runs_expected_no_more_of_that_handler_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.setattr(lambdas, "WORKER", tmp_path / "worker.py")
    workers = lambdas.Lambdas(1, 9, {}, tmp_path / "log", {GUARD: 1})
    for number in range(3):
        scale.deliver(workers, {"id": number})
    until = time.time() + 10
    while workers.waiting and time.time() < until:
        time.sleep(0.02)
    workers.close()
    ran = {name: [one for one in workers.invocations if one.handler == name] for name in (WARNINGS, GUARD)}
    assert [len(ones) for ones in ran.values()] == [3, 3], "each warning comes to both"
    first, second, third = ran[GUARD]
    assert first.ended <= second.began
    assert second.ended <= third.began
    assert max(one.began for one in ran[WARNINGS]) < min(one.ended for one in ran[WARNINGS])
