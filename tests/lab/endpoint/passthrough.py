"""Hands a request to ministack as it came (host, signature and all) and brings its answer back."""

from __future__ import annotations

import http.client
import threading

from tests.lab.endpoint.messages import Request, Response

# These belong to one connection and never travel on (RFC 9110, 7.6.1); the length is set anew.
_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}) | {
    "upgrade",
    "expect",
    "content-length",
}
_TIMEOUT_S = 930.0  # a Lambda that is invoked synchronously may take 900 s


class Passthrough:
    """A way to ministack on this machine; every thread keeps one connection of its own open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = threading.local()

    def __call__(self, request: Request) -> Response:
        """Ministack's answer. A kept connection that turns out to be closed is opened once more."""
        reused = getattr(self._local, "connection", None) is not None
        try:
            return self._exchange(request)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._forget()
            if not reused:
                raise
            return self._exchange(request)
        except BaseException:
            self._forget()
            raise

    def _exchange(self, request: Request) -> Response:
        connection = self._connection()
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            if name.lower() not in _HOP:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        # The answer to HEAD has no body, and its length is what the caller asked for.
        dropped = _HOP - {"content-length"} if request.method == "HEAD" else _HOP
        headers = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in dropped)
        return Response(answer.status, answer.read(), headers)

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
            self._local.connection = connection
        return connection

    def _forget(self) -> None:
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()
