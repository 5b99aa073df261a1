"""Accounting of calls: what the responses and BYEs that pass say about a call's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipcore.calls import Call, CallToken, Dialog
from sipcore.calls.call import refreshed_note, seen_note
from sipcore.calls.token import PARAMETER
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Cause, Side
from sipcore.message import Request, Response
from sipcore.proxy import (
    REFRESH_METHODS,
    Branch,
    ResponseContext,
    SessionRequest,
    ask_for_timer,
    session_interval,
)
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.node.worker import Worker

_CAUSES: Final = {
    404: Cause.UNREACHABLE,
    408: Cause.NO_ANSWER,
    410: Cause.UNREACHABLE,
    480: Cause.UNREACHABLE,
    484: Cause.UNREACHABLE,
    486: Cause.BUSY,
    487: Cause.CANCELLED,
    600: Cause.BUSY,
    603: Cause.REJECTED,
    604: Cause.UNREACHABLE,
}


MAX_KEPT: Final = 4_096
"""Characters that a party may have us keep of a call, and write with each change of it."""
KEPT: Final = ("record-route", "contact", "from", "to")
TARGET_REFRESHES: Final = ("INVITE", "UPDATE", "SUBSCRIBE")


class Attempt:
    """An initial INVITE on its way; the `account` of its response context."""

    __slots__ = ("call", "caller_flow", "is_own", "pinned", "session", "terminated")

    def __init__(
        self,
        call: Call,
        caller_flow: Flow | None,
        *,
        pinned: bool = False,
        is_own: bool = False,
    ) -> None:
        self.call = call
        self.caller_flow = caller_flow
        """Where the caller is reached when its Contact cannot be."""
        self.pinned = pinned
        """Whether a side of this call is a stranger: the two reach one another and nobody else."""
        self.is_own = is_own
        """Whether a service of ours is the caller."""
        self.session: SessionRequest | None = None
        """The session timer asked for, if any."""
        self.terminated = False
        """Whether the service itself cancels this attempt."""


class MidDialog:
    """A request inside a dialog; the `account` of its response context."""

    __slots__ = ("call", "dialog", "from_caller", "is_target_refresh", "session", "token")

    def __init__(
        self,
        token: CallToken,
        call: Call | None,
        dialog: Dialog | None,
        from_caller: bool,
        is_target_refresh: bool,
        session: SessionRequest | None,
    ) -> None:
        self.token = token
        self.call = call
        self.dialog = dialog
        self.from_caller = from_caller
        self.is_target_refresh = is_target_refresh
        self.session = session


def is_too_much_to_keep(message: Request | Response, most: int = MAX_KEPT) -> bool:
    """Whether what we keep of it is longer than that."""
    if sum(map(len, message.lines)) <= most:
        return False  # as nearly always, told without looking for the rows
    return sum(len(row) for key in KEPT for row in message.rows(key)) > most


def cause_of(status: int) -> Cause:
    """The cause of a call that ended with this final response."""
    return _CAUSES.get(status, Cause.REJECTED if status in (403, 433, 488) else Cause.FAILED)


def account_response(
    worker: Worker,
    context: ResponseContext,
    branch: Branch | None,
    response: Response,
    now: float,
) -> None:
    """A response is about to be forwarded upstream: write what it means for its call."""
    account = context.account
    if isinstance(account, Attempt):
        _attempt_response(worker, account, context, branch, response, now)
    elif isinstance(account, MidDialog) and account.is_target_refresh:
        _refresh(worker, account, context.request, response, now)


def _attempt_response(
    worker: Worker,
    attempt: Attempt,
    context: ResponseContext,
    branch: Branch | None,
    response: Response,
    now: float,
) -> None:
    status, call = response.status, attempt.call
    if status < 200:
        if status != 100:
            worker.calls.ring(call, now, worker.at)
    elif status < 300:
        dialog = dialog_of(worker, attempt, context.request, branch, response, now)
        interval_s = session_interval(response, attempt.session)
        if interval_s:
            dialog.refresh("", "", interval_s, now)
        line_id = branch.target.line_id if branch is not None else None
        worker.calls.answer(call, dialog, line_id)
    else:
        if status == 487 and not context.cancelled:
            status = 408  # it was our CANCEL, of what rang too long: the caller gave nothing up
        end_attempt(worker, attempt, status, now, response.first("reason") or "")


def end_attempt(worker: Worker, attempt: Attempt, status: int, now: float, reason: str) -> None:
    """The attempt failed with this final status."""
    cause = Cause.TERMINATED if attempt.terminated else cause_of(status)
    by = Side.CALLEE
    if cause is Cause.CANCELLED:
        by = Side.CALLER
    elif cause in (Cause.TERMINATED, Cause.NO_ANSWER, Cause.UNREACHABLE):
        by = Side.SYSTEM
    worker.calls.end(attempt.call, cause, by, now, worker.at, status=status, reason=reason)


def dialog_of(
    worker: Worker,
    attempt: Attempt,
    request: Request,
    branch: Branch | None,
    response: Response,
    now: float,
) -> Dialog:
    """The dialog that a 2xx to an INVITE makes, as seen from the middle."""
    above = _routes_above(request, response)
    if is_too_much_to_keep(response, 2 * MAX_KEPT):  # it gives back what the request had
        raise MalformedMessage("too much to be kept", header="record-route")
    return Dialog(
        callee_tag=response.to_tag,
        caller_contact="" if attempt.is_own else _contact(request) or request.from_.uri_text,
        callee_contact=_contact(response) or ("" if branch is None else branch.target.uri_text),
        caller_routes=list(request.record_routes),
        callee_routes=list(reversed(above)),
        caller_cseq=request.cseq_number,
        callee_cseq=0,
        caller_flow=attempt.caller_flow,
        callee_flow=_callee_flow(attempt, branch),
        answered_now=now,
        answered_at=worker.at,
    )


def _callee_flow(attempt: Attempt, branch: Branch | None) -> Flow | None:
    """The flow of requests to the callee, None where Route and Contact lead there."""
    if branch is None:
        return None
    return branch.flow if attempt.pinned else branch.target.flow


def _routes_above(request: Request, response: Response) -> list[str]:
    """The Record-Route values between us and the callee: those that stand above ours.

    Ours are right above those that the request came with, one or two (with the same token). Others
    further on may name theirs alike, or be ourselves, where a call has come by twice.
    """
    values = response.record_routes
    end = len(values) - len(request.record_routes)
    own = _token_text(values[end - 1]) if end > 0 else ""
    if not own:
        return values[: max(end, 0)]
    while end > 0 and _token_text(values[end - 1]) == own:
        end -= 1
    return values[:end]


def _token_text(value: str) -> str:
    _, _, rest = value.partition(f";{PARAMETER}=")
    return rest.partition(">")[0].partition(";")[0]


def _contact(message: Request | Response) -> str:
    """The remote target; "" when there is none, or none that anybody could send to."""
    try:
        contacts = message.contacts
        return contacts[0].uri.text if contacts else ""
    except MalformedMessage:
        return ""


def _refresh(
    worker: Worker, account: MidDialog, request: Request, response: Response, now: float
) -> None:
    """A 2xx to a target refresh; whoever holds the call hears of it."""
    if not 200 <= response.status < 300:
        return
    interval_s = -1
    if request.method in REFRESH_METHODS:
        interval_s = session_interval(response, account.session)
    caller, callee = _contact(request), _contact(response)
    if not account.from_caller:
        caller, callee = callee, caller
    token = account.token
    if account.dialog is not None and account.call is not None:
        account.dialog.refresh(caller, callee, interval_s, now)
        worker.calls.refreshed(account.call, now)
    elif account.call is None and token.home != worker.home:
        tag = request.to_tag if account.from_caller else request.from_tag
        worker.note(token.home, refreshed_note(token.context, tag, caller, callee, interval_s))


def dialog_for(call: Call | None, request: Request, from_caller: bool) -> Dialog | None:
    """The dialog of a call that a request inside it belongs to, by both tags."""
    if call is None:
        return None
    callee_tag = request.to_tag if from_caller else request.from_tag
    caller_tag = request.from_tag if from_caller else request.to_tag
    return call.dialogs.get(callee_tag) if caller_tag == call.caller_tag else None


def account_request(worker: Worker, token: CallToken, request: Request, now: float) -> MidDialog:
    """A request with a valid token passes: note CSeq and the end of the call."""
    from_caller = token.from_caller(request.from_tag)
    call = worker.calls.get(token.context)
    dialog = dialog_for(call, request, from_caller)
    if dialog is not None:
        dialog.seen(from_caller, request.cseq_number)
    if request.method == "BYE":
        _account_bye(worker, token, call, dialog, from_caller, now)
        return MidDialog(token, call, dialog, from_caller, False, None)
    if call is None and token.home != worker.home:
        tag = request.to_tag if from_caller else request.from_tag
        note = seen_note(token.context, tag, from_caller, request.cseq_number)
        worker.note(token.home, note)
    session = None
    if request.method in REFRESH_METHODS:
        session = ask_for_timer(request, worker.config.sessions)
    is_refresh = request.method in TARGET_REFRESHES
    return MidDialog(token, call, dialog, from_caller, is_refresh, session)


def _account_bye(
    worker: Worker,
    token: CallToken,
    call: Call | None,
    dialog: Dialog | None,
    from_caller: bool,
    now: float,
) -> None:
    by = Side.CALLER if from_caller else Side.CALLEE
    if call is not None and dialog is not None:
        worker.calls.hang_up(call, dialog.callee_tag, by, now, worker.at)
    elif call is None and token.home != worker.home:
        # The call is held where it was minted; its record is written here, where the end was seen.
        worker.calls.end_not_held(token.context, by, worker.at)
        worker.note(token.home, {"op": "ended", "c": token.context})
