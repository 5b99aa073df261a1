"""A call that is being placed: what its INVITE's responses say about its life."""

from __future__ import annotations

from typing import Final

from sipcore.apps.host import Host
from sipcore.calls import Call, Dialog, Leg
from sipcore.calls.token import PARAMETER
from sipcore.campus.agents import Agents
from sipcore.campus.call_control import CallControl
from sipcore.campus.causes import end_unanswered
from sipcore.campus.dialog_parts import (
    contact_of,
    device_behind,
    flow_of_answer,
    is_too_much_to_keep,
    routes_above_ours,
)
from sipcore.campus.incoming import Incoming
from sipcore.campus.limits import MAX_KEPT
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter, Heard, Kind, Record
from sipcore.message import Request, Response, is_sips, parse_name_addr
from sipcore.proxy import ProxyHost, Purpose, SessionRequest, session_interval
from sipcore.routing import Target
from sipcore.transport.flow import Flow
from sipcore.transport.networks import network_of

TOKEN: Final = f";{PARAMETER}="


class PlacedCall(Purpose):
    """An initial INVITE on its way to one of us or to a foreign domain."""

    __slots__ = (
        "_agents",
        "_control",
        "_host",
        "call",
        "caller_flow",
        "incoming",
        "is_own",
        "pinned",
        "rang_late",
        "request",
        "session",
    )

    def __init__(
        self,
        host: Host,
        control: CallControl,
        agents: Agents,
        call: Call,
        incoming: Incoming,
        caller_flow: Flow | None,
        *,
        pinned: bool = False,
        is_own: bool = False,
    ) -> None:
        self._host = host
        self._control = control
        self._agents = agents
        self.call = call
        self.incoming = incoming
        self.request = incoming.request
        self.caller_flow = caller_flow
        """Where the caller is reached when its Contact cannot be."""
        self.session: SessionRequest | None = None
        """The session timer asked for, if any."""
        self.pinned = pinned
        """Whether a side of this call is a stranger: the two reach one another and nobody else."""
        self.is_own = is_own
        """Whether a service of ours is the caller."""
        self.rang_late: tuple[str, ...] = ()
        """Contacts that have rung when the caller had been told how it ended."""

    def record_route(self, target: Target, incoming: Flow, outgoing: Flow) -> str:
        """Stay on the path of the call; its token names the flows that contacts do not."""
        host, call = self._host, self.call
        is_spare = not self.pinned and target.flow is None and not target.path
        token = host.tokens.make(
            call.context,
            call.call_id,
            call.caller_tag,
            caller_flow=self.caller_flow,
            callee_flow=outgoing if self.pinned or is_spare else target.flow,
            pinned=self.pinned,
            is_spare=is_spare,
            caller_line=call.caller_line if self.pinned else None,
        )
        secure = is_sips(target.uri_text)
        return host.own.record_routes(
            incoming,
            outgoing,
            parameters=TOKEN + token,
            secure=secure,
            leaves_secure=secure or (bool(target.path) and _is_sips_route(target.path[0])),
        )

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """Account for a response; False: it is one answer too many."""
        host, call, status = self._host, self.call, response.status
        if status < 300 and host.silent_devices.remotes:  # all others may be of our own making
            host.silent_devices.heard_at(device_behind(host, target), host.at)
        is_late = False
        if status < 200:
            if status != 100:
                host.calls.ring(call, now, host.at)
        elif status < 300:
            tag = response.to_tag
            if call.has_all_answers(tag):
                host.count(Counter.EXTRA_ANSWER)
                return False
            is_late = call.is_late(tag)
            host.calls.answer(
                call, self._dialog(target, flow, response, now), target.line_id, target.device_id
            )
            if self.pinned and call.caller_line is not None and flow is not None:
                strangers = host.calls.strangers
                strangers.talked.add(call.caller_line, network_of(flow.remote[0]))
        else:
            if status == 487 and not cancelled:
                status = 408  # it was our CANCEL, of what rang too long: the caller gave nothing up
            end_unanswered(host, call, status, now, response.first("reason") or "")
        if self._agents.see_responses:
            self._agents.on_response(call, response)
        if status >= 200:
            self._control.rings_no_more(call)
            if is_late or (call.terminated and status < 300):
                self._control.end_late_answer(call, now)
        return True

    def _dialog(self, target: Target, flow: Flow | None, response: Response, now: float) -> Dialog:
        """The dialog that a 2xx makes, as seen from the middle."""
        request = self.request
        above = routes_above_ours(request, response)
        if is_too_much_to_keep(response, 2 * MAX_KEPT):  # it gives back what the request had
            raise MalformedMessage("too much to be kept", header="record-route")
        caller_contact = "" if self.is_own else contact_of(request) or request.from_.uri_text
        contact = contact_of(response) or target.uri_text
        callee_flow = flow if self.pinned else target.flow
        if callee_flow is None and not target.path and flow is not None:
            callee_flow = flow_of_answer(contact, flow)
        caller, host = self.incoming.caller, self._host
        is_ours = target.line_id is not None
        dialog = Dialog(
            callee_tag=response.to_tag,
            caller=Leg(
                caller_contact,
                list(request.record_routes),
                request.cseq_number,
                self.caller_flow,
                None if self.is_own else self.incoming.flow,
                0 if caller.device is None else caller.device.id,
                caller.peer,
            ),
            callee=Leg(
                contact,
                list(reversed(above)),
                0,
                callee_flow,
                flow,
                target.device_id,
                "" if is_ours or flow is None else host.trusted_peer(flow),
            ),
            answered_now=now,
            answered_at=self._host.at,
        )
        interval_s = session_interval(response, self.session)
        if interval_s:
            dialog.refresh("", "", interval_s, now)
        return dialog

    def silent(self, target: Target, flow: Flow | None, now: float) -> None:
        """A phone that says nothing in two calls in a row is said not to answer."""
        host = self._host
        binding = None if flow is None else device_behind(host, target)
        if binding is not None and flow is not None:
            host.silent_devices.missed(binding, flow.remote, self.call.context, host.at)

    def came_late(self, target: Target, flow: Flow | None, response: Response, now: float) -> None:
        """Hang up what was picked up too late, and record that, or that it rang too late."""
        host, call = self._host, self.call
        if response.status < 200:
            if target.uri_text in self.rang_late:
                return
            self.rang_late += (target.uri_text,)
            event = "ring"
        else:
            tag = response.to_tag
            is_again = tag in call.over
            if call.has_all_answers(tag):
                host.count(Counter.EXTRA_ANSWER)
                return
            dialog = self._dialog(target, flow, response, now)
            self._control.hang_up_late(call, dialog, now, is_again=is_again)
            if is_again:
                return
            call.over += (tag,)
            event = "answer"
        fields = {"event": event, "callee_line": target.line_id}
        host.record(Record(Kind.CALL_LATE, call.context, host.at, fields))

    def asker(self, host: ProxyHost, request: Request) -> str:
        """The caller's share, whatever its From says."""
        line_id = self.call.caller_line
        return "" if line_id is None else f"line {line_id}"

    def went_unanswered(self, target: Target, status: int, heard: Heard) -> None:
        # 487 is what a phone says that we have told to stop.
        if target.device_id and (status != 487 or heard is Heard.SILENT):
            self.call.unanswered_on(target.device_id, status, heard)

    def spoke_after_all(self, target: Target) -> None:
        call = self.call
        call.phones = tuple([phone for phone in call.phones if phone[0] != target.device_id])

    def ended(self, now: float) -> None:
        self._control.rings_no_more(self.call)


def _is_sips_route(value: str) -> bool:
    """Whether a Route value is a sips URI."""
    return is_sips(parse_name_addr(value).uri_text)
