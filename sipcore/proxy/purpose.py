"""What a proxied request is for: the one seam between forwarding and what is made of it.

The response context asks its purpose before it sends, before a response passes, and tells it the end.
It knows nothing of calls, dialogs or edges; a purpose knows nothing of branches.
"""

from __future__ import annotations

from sipcore.eventlog import Heard
from sipcore.message import Request, Response
from sipcore.proxy.host import ProxyHost
from sipcore.routing.plan import Target
from sipcore.transport.flow import Flow


class Purpose:
    """A request that nothing is made of: no Record-Route, and every response passes."""

    __slots__ = ()

    def record_route(self, target: Target, incoming: Flow, outgoing: Flow) -> str | None:
        """Our Record-Route value for one branch, None when we need not stay on the path (§16.6)."""
        return None

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """Account for a response other than 100 of this target that is about to go upstream.

        `flow` is the one that the target was sent to by, `cancelled` whether the caller gave up.
        False: the response must not be forwarded.
        """
        return True

    def silent(self, target: Target, flow: Flow | None, now: float) -> None:
        """A registered phone has said nothing at all to an INVITE, which was sent by this flow."""

    def came_late(self, target: Target, flow: Flow | None, response: Response, now: float) -> None:
        """A 1xx, or a 2xx, of a silent phone, when another final response has gone upstream.

        It is not forwarded, which RFC 3261 §16.7 step 5 has a proxy do with a 2xx: the caller has been
        told already. What rings gets a CANCEL; what was answered is to be hung up here.
        """

    def went_unanswered(self, target: Target, status: int, heard: Heard) -> None:
        """One target has come to its end with this failure; others may still answer."""

    def spoke_after_all(self, target: Target) -> None:
        """A phone that was said to be silent rings: it is one of the others again."""

    def asker(self, host: ProxyHost, request: Request) -> str:
        """Whose share of the questions to the DNS its names take, "" where nothing is looked up.

        The sender's: From is that of the account that has shown credentials.
        """
        account = host.own.account_of(request.from_.uri)
        return "" if account is None else f"line {account.id}"

    def ended(self, now: float) -> None:
        """Nothing more is started for the request; further 2xx of a fork may still pass."""


class OfLine(Purpose):
    """A request outside of any call, of an account that its From does not name."""

    __slots__ = ("_line_id",)

    def __init__(self, line_id: int) -> None:
        self._line_id = line_id

    def asker(self, host: ProxyHost, request: Request) -> str:
        """The share of the account that has shown credentials."""
        return f"line {self._line_id}"


JUST_FORWARD = Purpose()
"""For a request outside of any call."""
