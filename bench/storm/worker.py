"""Many Lambdas in one process: runs the handlers of the app on its path, a thread for each event at work.

Rows of JSON come in on stdin ({"id", "handler", "event"}) and go out on the old stdout ({"id", "began",
"ended", "error"}); at the end of the input goes one row with the DynamoDB calls of each second. What the
handlers write themselves goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import boto3
from botocore.config import Config
from botocore.httpsession import URLLib3Session

from chalicelib.adapters import wiring

CALLS = 16  # at once: ministack answers one after the other, and a long queue there would end in time-outs


class Worker:
    """Takes events, and counts what they cost."""

    def __init__(self, threads: int) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._calls: Counter[tuple[int, str]] = Counter()
        _limit_calls()
        boto3.setup_default_session()
        events: Any = boto3.DEFAULT_SESSION
        events.events.register("before-send.dynamodb", self._count)
        # A connection for each thread, as every Lambda has its own.
        many = Config(max_pool_connections=threads)
        wiring.__dict__["PATIENT_CONFIG"] = wiring.PATIENT_CONFIG.merge(many)
        self._app: Any = import_module("app")
        self._pool = ThreadPoolExecutor(threads)

    def serve(self) -> None:
        """Until the input ends, and all of it is done."""
        wiring.connected()
        for line in sys.stdin:
            self._pool.submit(self._run, json.loads(line))
        self._pool.shutdown()
        rows = [[second, name, number] for (second, name), number in sorted(self._calls.items())]
        self._say({"calls": rows})

    def _run(self, row: dict[str, Any]) -> None:
        began, error = time.time(), ""
        try:
            getattr(self._app, row["handler"])(row["event"], None)
        except BaseException as failure:  # noqa: BLE001 - whatever it is, Lambda would try again
            error = f"{type(failure).__name__}: {failure}"
        self._say({"id": row["id"], "began": began, "ended": time.time(), "error": error})

    def _count(self, request: Any, **_: Any) -> None:
        name = request.headers["X-Amz-Target"]
        text = name.decode() if isinstance(name, bytes) else str(name)
        with self._lock:
            self._calls[int(time.time()), text.rpartition(".")[2]] += 1

    def _say(self, row: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(row) + "\n")
            self._out.flush()


def _limit_calls() -> None:
    """Have a call wait here for its turn, where no time-out runs, rather than in ministack's queue."""
    slots, send = threading.Semaphore(CALLS), URLLib3Session.send

    def limited(self: URLLib3Session, request: Any) -> Any:
        with slots:
            return send(self, request)

    URLLib3Session.send = limited  # type: ignore[method-assign]


if __name__ == "__main__":
    Worker(int(sys.argv[1])).serve()
