"""Counters: what is dropped or refused rather than recorded, by reason.

A flood must not write a record for each message, so it is counted, and every interval in which
anything was counted becomes one `node.counts` record.
"""

from __future__ import annotations

from enum import StrEnum

from sipcore.eventlog.limits import INTERVAL_S
from sipcore.eventlog.record import Kind, Record


class Counter(StrEnum):
    """Why something was not handled as it was meant. The values are in records: never change one."""

    MALFORMED = "malformed"
    """A message that breaks the grammar and cannot be answered: dropped."""
    MALFORMED_ANSWERED = "malformed_answered"
    """A request that breaks the grammar, answered 400 or what its fault says."""
    STREAM_MALFORMED = "stream_malformed"
    """A stream connection on which no message could be framed any more: closed."""
    STUN = "stun"
    """A STUN request that is malformed or one too many of its source: not answered."""
    FOREIGN_RESPONSE = "foreign_response"
    """A response whose topmost Via is not ours: dropped (RFC 3261 §18.1.2)."""
    STRAY_RESPONSE = "stray_response"
    """A response that no transaction waits for, or to another request: dropped (RFC 6026 §7.3)."""
    RESPONSE_ELSEWHERE = "response_elsewhere"
    """A response from another host than the request was sent to: taken all the same."""
    STRAY_ACK = "stray_ack"
    """An ACK that belongs to nothing, such as that of a challenge without state: dropped."""
    FOREIGN_ACK = "foreign_ack"
    """An ACK with the call token of a call that its sender is not in: dropped."""
    ACK_UNROUTABLE = "ack_unroutable"
    """An ACK whose next hop was not found: dropped."""
    ACK_INSECURE = "ack_insecure"
    """An ACK for a sips URI that would have left without TLS: dropped (RFC 5630)."""
    REQUEST_INSECURE = "request_insecure"
    """A request of a service for a sips URI that would have left without TLS: not sent."""
    MESSAGE_INSECURE = "message_insecure"
    """A MESSAGE of a service for a sips URI that would have left without TLS: not sent."""
    MESSAGE_PENDING = "message_pending"
    """A MESSAGE of a service while the one before was not answered: not sent (RFC 3428 §8)."""
    MESSAGE_TOO_LARGE = "message_too_large"
    """A MESSAGE of a service that is too large for UDP: not sent (RFC 3428 §8)."""
    STRANGER_REFUSED = "stranger_refused"
    """A call of a stranger that was refused."""
    STRANGER_LIMITED = "stranger_limited"
    """A call of a stranger beyond what a line, or a network, may have at once or in a minute:
    answered 480."""
    STRANGER_MESSAGE_LIMITED = "stranger_message_limited"
    """A message of a stranger, or a request inside a call, beyond what a line, a network or a call may
    have lately: answered 480 or 503."""
    METHOD_REFUSED = "method_refused"
    """A request of a method that strangers may not send to a line, answered 405."""
    LOOKUP_LIMITED = "lookup_limited"
    """A request answered 503: its name was not looked up, since there were too many questions."""
    EXTRA_ANSWER = "extra_answer"
    """A 2xx of one more phone than a call keeps: not forwarded."""
    TOO_BUSY = "too_busy"
    """A request answered 503: there were too many transactions."""
    STOPPING = "stopping"
    """A request that would begin something, answered 503 while the server stopped."""
    NO_SOCKET = "no_socket"
    """A datagram for an address of ours that we do not listen at: not sent."""
    DATAGRAM_NOT_SENT = "datagram_not_sent"
    """A datagram that the operating system refused to send."""
    KERNEL_DROPPED = "kernel_dropped"
    """A datagram that found the receive buffer of our socket full: dropped by the operating system."""
    CONNECTION_REFUSED = "connection_refused"
    """A connection beyond the number in all, or of one source: closed."""
    CONNECTION_OUT_OF_REACH = "connection_out_of_reach"
    """A connection into a network that is not open: not made (`transport/reach.py`)."""
    HANDSHAKE_REFUSED = "handshake_refused"
    """A TLS handshake beyond the number in all, or of one source, or without a certificate of ours."""
    HANDSHAKE_FAILED = "handshake_failed"
    """A TLS connection that broke its protocol, or whose certificate names somebody else."""
    INTERNAL_ERROR = "internal_error"
    """A message that a fault of ours kept from being handled: the log has the traceback."""
    RECORD_DROPPED = "record_dropped"
    """A record that was not written because the spool had reached its size."""
    RECORD_LOST = "record_lost"
    """A record that was lost because the disk was full for too long."""


class Counts:
    """How often each counter was counted, since start and in the last whole interval."""

    __slots__ = ("_before", "_since", "latest", "total")

    def __init__(self) -> None:
        self.total = dict.fromkeys(Counter, 0)
        """Since start. Its size never changes, so another thread may copy it."""
        self.latest: dict[str, int] = {}
        """Of the last whole interval, without zeros. Replaced as a whole, never changed."""
        self._before = dict(self.total)
        """`total` when the present interval began."""
        self._since: float | None = None
        """When it began; None until the clock is known."""

    def advance(self, now: float, at: float) -> Record | None:
        """The record of the interval that is over, if one is and anything was counted in it."""
        since = self._since
        if since is None:
            self._since = now
            return None
        return self.close(now, at) if now - since >= INTERVAL_S else None

    def close(self, now: float, at: float) -> Record | None:
        """End the present interval, whole or not; its record, if anything was counted in it."""
        seconds = 0.0 if self._since is None else now - self._since
        before = self._before
        self.latest = {
            counter.value: count - before[counter]
            for counter, count in self.total.items()
            if count != before[counter]
        }
        self._before = dict(self.total)
        self._since = now
        if not self.latest:
            return None
        return Record(Kind.NODE_COUNTS, "", at, {"seconds": round(seconds), "counts": self.latest})

    def since_start(self) -> dict[str, int]:
        """What was counted since start, without zeros; any thread may ask."""
        return {counter.value: count for counter, count in self.total.copy().items() if count}
