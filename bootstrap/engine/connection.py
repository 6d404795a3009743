"""The way to one engine: in the newest version of its API, with its errors in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from docker import APIClient
from docker.errors import APIError, DockerException, create_api_error_from_http_exception
from requests import Response
from requests.exceptions import HTTPError, RequestException

from bootstrap.engine import versions
from bootstrap.errors import EngineError, refusal

SOCKET = "unix:///var/run/docker.sock"
ANSWER_TIMEOUT_S = 5  # seconds for one engine call
# What reading an answer raises that is none: no JSON, very deep, a field missing or of another kind.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
Row = TypeVar("Row")


class Connection:
    """To the engine behind a socket; nothing is asked before the first call."""

    def __init__(self, socket: str = SOCKET) -> None:
        self._socket = socket
        self._client: APIClient | None = None

    def _order(
        self, what: str, path: str, message: Any = None, timeout: float = ANSWER_TIMEOUT_S, **parameters: Any
    ) -> None:
        """POST what the SDK has no exact call for."""
        with self._translated(what, timeout):
            check(self._api.post(self._url(path), json=message, params=parameters, timeout=timeout))

    def _rows(
        self, what: str, fetch: Callable[[APIClient], Any], read: Callable[[Any], Row]
    ) -> tuple[Row, ...]:
        with self._translated(what):
            return tuple(map(read, fetch(self._api)))

    @property
    def _api(self) -> APIClient:
        """Speaks the engine's own newest version, which is asked for once until `renew` is called.

        Why: engine/versions.py.
        """
        if self._client is None:
            self._client = APIClient(base_url=self._socket, version="auto", timeout=ANSWER_TIMEOUT_S)
        return self._client

    @property
    def has_answered(self) -> bool:
        """Whether the engine has told its version: one that hangs or is not there tells nothing."""
        return self._client is not None

    def renew(self) -> None:
        """Ask the engine for its version anew: behind the socket there may be another or a newer one."""
        self._client = None

    def _url(self, path: str) -> str:
        return f"{self._api.base_url}/v{self._api.api_version}{path}"

    @contextmanager
    def _translated(self, what: str, timeout: float = ANSWER_TIMEOUT_S) -> Iterator[None]:
        """Translate the client's errors into ours, without the cause: its text could hold secrets."""
        try:
            yield
        except APIError as error:
            why = str(error.explanation or error)
            if versions.refuses_api_version(why):  # another engine has taken its place
                self.renew()
                raise EngineError(f"the engine at {self._socket} did not {what}: {why}; try again") from None
            raise refusal(what, why) from None
        except MALFORMED as error:
            raise EngineError(
                f"the engine at {self._socket} did not {what}: its answer is none of Docker's "
                f"({type(error).__name__}): check on this host which engine that is (docker version)"
            ) from None
        except (DockerException, RequestException, OSError) as error:
            name = type(error.__cause__ or error).__name__
            raise EngineError(
                f"the engine at {self._socket} did not {what} within {timeout:g} s ({name}): check on this "
                "host that dockerd runs (docker info) and, on a manager, that the swarm has a leader "
                "(docker node ls)"
            ) from None


def check(response: Response) -> None:
    """APIError with the engine's own words where it refused."""
    try:
        response.raise_for_status()
    except HTTPError as error:
        raise create_api_error_from_http_exception(error) from error
