"""Numbers that nobody here has: whom they reach by SIP, the DNS may know (ENUM, RFC 6116).

Only who is known to us asks; a stranger could have us look up numbers for him.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipcore.apps.campus.identity import Caller
from sipcore.errors import MalformedMessage
from sipcore.locate import Answer, address_of_number, domain_of_number, is_full_number
from sipcore.message import Request, Uri, is_sips, parse_uri
from sipcore.routing import Plan, Refuse, dialled_number, is_emergency

if TYPE_CHECKING:
    from sipcore.apps.campus.service import CampusService
    from sipcore.node.worker import Worker
    from sipcore.transaction import ServerTransaction
    from sipcore.transport.flow import Flow


def number_to_ask_for(suffix: str, uri: Uri, caller: Caller, plan: Plan) -> str:
    """The full number of which ENUM may know more than we do, "" where there is nothing to ask."""
    if not suffix or not isinstance(plan, Refuse) or plan.status != 404 or plan.callee is not None:
        return ""
    if is_emergency(uri) or (caller.account is None and not caller.peer):
        return ""
    number = dialled_number(uri)
    return number if is_full_number(number) else ""


class NumberSearch:
    """A request that waits for what the DNS says of its number. `plan` is for when it says nothing."""

    __slots__ = ("_caller", "_flow", "_is_over", "_number", "_plan", "_request", "_service", "_tx")

    def __init__(
        self,
        service: CampusService,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        caller: Caller,
        plan: Plan,
        number: str,
    ) -> None:
        self._service = service
        self._tx = tx
        self._request = request
        self._flow = flow
        self._caller = caller
        self._plan = plan
        self._number = number
        self._is_over = False

    def start(self, worker: Worker, suffix: str, now: float) -> None:
        """Ask; the caller may give up meanwhile."""
        self._tx.owner = self
        question = (domain_of_number(self._number, suffix), "NAPTR")
        worker.servers.locator.ask(question, self, now)

    def told(self, answer: Answer, now: float) -> None:
        """Go on with the address that the number has, or as if nobody had asked."""
        if self._is_over:
            return
        if answer.failed:
            self._plan = Refuse(480, trace=("nobody knows the number now",))
        secure = is_sips(self._request.uri_text)
        address = address_of_number(self._number, answer.naptr, secure=secure)
        self._go_on(_sip_uri(address), now)

    def _go_on(self, uri: Uri | None, now: float) -> None:
        self._is_over = True
        self._tx.owner = None
        try:
            self._service.follow_number(
                self._tx, self._request, self._flow, self._caller, self._plan, uri, now
            )
        except MalformedMessage as error:
            self._give_up(error.status, now)
        except Exception:
            self._give_up(500, now)  # an INVITE would wait here for ever
            raise

    def cancel(self, now: float, reasons: object = ()) -> None:
        """The caller's CANCEL."""
        if not self._is_over:
            self._plan = Refuse(487, trace=("given up",))
            self._go_on(None, now)

    def _give_up(self, status: int, now: float) -> None:
        if self._tx.last_status < 200:
            tag = self._request.stateless_tag
            self._tx.respond(self._request.respond(status, to_tag=tag), now)


def _sip_uri(text: str) -> Uri | None:
    try:
        return parse_uri(text) if text else None
    except MalformedMessage:
        return None
