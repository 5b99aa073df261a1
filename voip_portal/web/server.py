"""waitress with our limits: its loop reads and writes, its threads run the application.

waitress alone bounds only silence: a client that sends two bytes a second is never silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from socket import AF_UNIX, socket
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher

from voip_portal.web.connections import Doing, overdue, surplus
from voip_portal.web.limits import LIMITS, WebLimits
from voip_portal.web.sources import Proxies, neighbours_of, source_of

LOOK_EVERY_S: Final = 1.0
"""For connections that are overdue, and for whether the threads get on."""
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection, with what the limits look at."""

    def __init__(self, server: Any, sock: socket, addr: Any, adj: Any, map: Any = None) -> None:
        address = addr[0] if isinstance(addr, tuple) else ""
        address = "" if address == "localhost" else address  # waitress's word for a Unix socket
        of_proxy = server.proxies.have(address)
        self.source = "" if of_proxy else source_of(address)
        self.neighbours = neighbours_of(address) if address else ""
        self.since = time.monotonic()
        self._sent = 0
        self._sent_looked_at = self.since
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def doing(self) -> Doing:
        if self.requests:
            return Doing.SERVED
        if self.total_outbufs_len:
            return Doing.SENDING
        if self.request is None:
            return Doing.IDLE
        return Doing.BODY if self.request.headers_finished else Doing.HEADERS

    @property
    def body_bytes(self) -> int:
        request = self.request
        return request.body_bytes_received if request is not None else 0

    @property
    def answer_bytes(self) -> int:
        return int(self.total_outbufs_len)

    def received(self, data: bytes) -> bool:
        if self.request is None and data.strip():
            self.since = time.monotonic()
        return bool(super().received(data))

    def service(self) -> None:
        super().service()
        self.server.served_at[0] = self.since = time.monotonic()

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = int(super().send(data, do_close=do_close))
        self._sent += sent
        return sent

    def close_now(self) -> None:
        """Without waiting for the client to take anything. Between turns of the loop only."""
        self.handle_close()

    def takes_too_slowly(self, limits: WebLimits, now: float) -> bool:
        """Whether an answer has waited for a whole interval in which next to nothing was taken."""
        if not self.total_outbufs_len:
            self._sent, self._sent_looked_at = 0, now
            return False
        interval = now - self._sent_looked_at
        if interval < limits.taken_looked_at_every_s:
            return False
        taken, self._sent, self._sent_looked_at = self._sent, 0, now
        return taken < interval * limits.taken_bytes_per_s


class _Tcp(TcpWSGIServer):  # type: ignore[misc]
    channel_class = Channel


class _Unix(UnixWSGIServer):  # type: ignore[misc]
    channel_class = Channel


class WebServer:
    """Listens on sockets that it is given, which other processes listen on as well."""

    def __init__(
        self,
        application: Application,
        sockets: Sequence[socket],
        *,
        threads: int,
        proxies: Proxies,
        limits: WebLimits = LIMITS,
    ) -> None:
        self._limits = limits
        self._map: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(threads)
        self._dispatcher.queue_logger.setLevel("ERROR")  # a queue is no fault
        self._served_at = [time.monotonic()]
        self._asked_at = 0.0
        self._looked_at = 0.0

        def checked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            proxies.without_claims(environ)
            # It would keep a file open for each answer that waits, a small one of a pipeline, too.
            environ.pop("wsgi.file_wrapper", None)
            return application(environ, start_response)

        self._listeners = [self._listener(checked, each, proxies) for each in sockets]

    def _listener(self, application: Application, sock: socket, proxies: Proxies) -> Any:
        kind = _Unix if sock.family == AF_UNIX else _Tcp
        server = kind(
            application,
            self._map,
            False,
            sock,
            dispatcher=self._dispatcher,
            adj=_adjustments(self._limits),
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )
        server.proxies, server.served_at = proxies, self._served_at
        server.accept_connections()
        return server

    @property
    def served_at(self) -> float:
        """When a thread last finished something, a question of ours at the least."""
        return self._served_at[0]

    def turn(self, timeout: float) -> None:
        """Wait for something to read or write, and do it; close what has to go."""
        wasyncore.poll2(timeout, self._map)
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._ask_threads()
            for channel in self._channels():
                if overdue(channel, self._limits, now) or channel.takes_too_slowly(
                    self._limits, now
                ):
                    channel.close_now()
        # Those that were closed just now count no more, nor are they chosen.
        for crowded in surplus(self._channels(), self._limits):
            crowded.close_now()

    def wake(self) -> None:
        """Have the turn that waits end now. For signal handlers, too."""
        self._listeners[0].pull_trigger()

    def stop(self) -> None:
        """Take no more; finish what is being served, within `stop_within_s`."""
        for listener in self._listeners:
            listener.accepting = False
            listener.del_channel(self._map)
        until = time.monotonic() + self._limits.stop_within_s
        while self._busy() and time.monotonic() < until:
            wasyncore.poll2(0.1, self._map)
        self._dispatcher.shutdown(timeout=0.1)

    def _busy(self) -> bool:
        return any(c.doing in (Doing.SERVED, Doing.SENDING) for c in self._channels())

    def _channels(self) -> list[Channel]:
        return [each for each in self._map.values() if isinstance(each, Channel)]

    def _ask_threads(self) -> None:
        """Have a thread say that it is free, unless one was asked and has not said it yet."""
        if self._asked_at <= self.served_at:
            self._asked_at = time.monotonic()
            self._dispatcher.add_task(_Question(self._served_at))


class _Question:
    """A task that is done at once."""

    def __init__(self, served_at: list[float]) -> None:
        self._served_at = served_at

    def service(self) -> None:
        self._served_at[0] = time.monotonic()

    def cancel(self) -> None:
        """Nobody waits for it."""


def _adjustments(limits: WebLimits) -> Any:
    return Adjustments(
        connection_limit=2 * limits.connections,  # not reached: `surplus` is before it
        max_request_header_size=limits.header_bytes,
        max_request_body_size=limits.body_bytes + 1,  # from there on it is too large
        outbuf_overflow=limits.answer_memory_bytes,
        outbuf_high_watermark=limits.answers_bytes,
        inbuf_overflow=limits.body_memory_bytes,
        channel_timeout=24 * 3600,  # `overdue` is before it
        cleanup_interval=24 * 3600,
        clear_untrusted_proxy_headers=False,  # `Proxies` does it
        log_socket_errors=False,
        ident="",
    )
