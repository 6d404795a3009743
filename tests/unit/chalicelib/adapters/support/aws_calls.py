"""AWS calls that are counted, or refused for a while, whoever plays AWS behind them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse, HTTPHeaders

if TYPE_CHECKING:
    from collections.abc import Collection

    from botocore.client import BaseClient

    from tests.unit.chalicelib.support.fakes import FakeClock

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"})
THROTTLED = "ProvisionedThroughputExceededException"


class _Body:
    """The rest of an answer that has come as a whole."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> list[bytes]:
        return [self._content]


@dataclass
class Calls:
    """Watches the calls of a client; those named ``refused`` get an error until a time."""

    clock: FakeClock
    refused: Collection[str] = ()
    until: float = 0.0
    error: str = THROTTLED
    status: int = 400
    body: dict[str, Any] = field(default_factory=dict)
    xml: bool = False
    made: Counter[str] = field(default_factory=Counter)

    def watch(self, client: BaseClient) -> Calls:
        """Count and refuse this client's calls from now on."""
        client.meta.events.register_first("before-send", self._before_send)  # type: ignore[arg-type]
        return self

    def _before_send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        name = event_name.rpartition(".")[2]
        self.made[name] += 1
        if name not in self.refused or self.clock.time >= self.until:
            return None
        return AWSResponse(request.url, self.status, HTTPHeaders(), _Body(self._refusal().encode()))

    def _refusal(self) -> str:
        if self.xml:
            code = f"<Code>{self.error}</Code><Message>no</Message>"
            return f"<Response><Errors><Error>{code}</Error></Errors></Response>"
        return json.dumps({"__type": f"com.amazonaws#{self.error}", "message": "no", **self.body})
