"""The errors of the stack. Busy, declined or a challenge are ordinary values, never exceptions."""

from __future__ import annotations

from typing import Any, Protocol


class Answerable(Protocol):
    """A request as far as it could be scanned: enough of it to be answered.

    Said here by what it can do: messages import errors, never the other way round.
    """

    @property
    def method(self) -> str:
        """What it asks for."""

    @property
    def call_id(self) -> str:
        """Its Call-ID."""

    def respond(self, status: int, reason: str = "", *, to_tag: str = "") -> Any:
        """A response to it (`sipcore.message.Response`)."""


class SipError(Exception):
    """Whatever the stack raises on purpose."""


class MalformedMessage(SipError):
    """The peer broke the grammar; says what to answer where an answer is possible.

    `partial` is the request as far as it could be scanned, when that is enough to build a
    response (Via, From, To, Call-ID and CSeq rows were found), else None.
    """

    def __init__(
        self,
        reason: str,
        *,
        header: str = "",
        offset: int = 0,
        status: int = 400,
        partial: Answerable | None = None,
    ) -> None:
        super().__init__(f"{header}: {reason}" if header else reason)
        self.reason = reason
        self.header = header
        self.offset = offset
        """Bytes or characters from the start of what was parsed."""
        self.status = status
        self.partial = partial


class LimitExceeded(MalformedMessage):
    """A named limit was passed: `limit` is its name, `value` its setting, `arrived` what came."""

    def __init__(
        self,
        limit: str,
        value: int,
        arrived: int,
        *,
        header: str = "",
        status: int = 400,
        partial: Answerable | None = None,
    ) -> None:
        super().__init__(
            f"{limit} is {value}, got {arrived}", header=header, status=status, partial=partial
        )
        self.limit = limit
        self.value = value
        self.arrived = arrived


class LocalProtocolError(SipError):
    """Our own code asked for something the protocol forbids; tests make it loud."""
