"""A party of a call that has moved: whether a re-INVITE or UPDATE from a new place is its own.

The other party knows all that identifies a call, so that is no proof. An account moves by the flow of a
live registration of the same device, or by that device's credentials (RFC 3261 §22.1 lets a proxy
challenge inside a dialog); a stranger to another port of its own host; a trusted peer by its certificate.
What is accepted with a 2xx moves the party, and a lower CSeq moves nothing.

The holder of the call knows where its parties are. Another worker asks it, and the request waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sipcore.apps.host import Host
from sipcore.auth import VerdictKind
from sipcore.bindings import Binding
from sipcore.calls import CallToken
from sipcore.calls.moved import (
    LegFacts,
    Party,
    Place,
    facts_told,
    leg_asked_note,
    leg_told_note,
    moved_note,
)
from sipcore.campus.dialog_parts import flow_behind_contact
from sipcore.campus.identity import Identity
from sipcore.campus.limits import INQUIRY_WAIT_S, MAX_INQUIRIES
from sipcore.directory import Account
from sipcore.errors import MalformedMessage
from sipcore.message import Request, parse_uri
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow, same_host
from sipcore.transport.way_back import DEFAULT_PORT


class Router(Protocol):
    """Who sends such a request on."""

    def pass_on(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        token: CallToken,
        place: Place | None,
        now: float,
    ) -> None:
        """Send it on; a 2xx moves its sender to `place`, None: nowhere."""


def party_of(token: CallToken, request: Request, *, is_caller: bool) -> Party:
    """The caller or the callee of the dialog that a request is of."""
    callee_tag = request.to_tag if token.from_caller(request.from_tag) else request.from_tag
    return Party(token.context, callee_tag, is_caller)


class Moving:
    """Those requests of a worker."""

    __slots__ = ("_host", "_identity", "_number", "_waiting", "router")

    def __init__(self, host: Host, identity: Identity, router: Router) -> None:
        self._host = host
        self._identity = identity
        self.router = router
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}

    def judge(
        self, tx: ServerTransaction, request: Request, flow: Flow, token: CallToken, now: float
    ) -> None:
        """Send a re-INVITE or UPDATE on, or challenge it; where another worker holds the call it is asked."""
        host = self._host
        party = party_of(token, request, is_caller=token.from_caller(request.from_tag))
        facts = host.calls.facts_of(party)
        is_mine = token.home == host.home or host.calls.get(token.context) is not None
        if facts is None and is_mine:
            self.router.pass_on(tx, request, flow, token, None, now)  # nobody has answered it yet
            return
        if facts is None and len(self._waiting) < MAX_INQUIRIES:
            self._number += 1
            waiting = _Waiting(self, self._number, tx, request, flow, token, now)
            self._waiting[self._number] = waiting
            tx.owner = waiting
            host.wake(waiting, waiting.due)
            host.note(token.home, leg_asked_note(host.home, self._number, party))
            return
        self.go_on(tx, request, flow, token, facts, now)

    def noted(self, note: Mapping[str, Any], now: float) -> None:
        """A question of another worker, or the answer of one."""
        if note["op"] == "leg asked":
            host = self._host
            facts = host.calls.facts_of(Party(*note["party"]))
            host.note(tuple(note["home"]), leg_told_note(note, facts))
            return
        waiting = self._waiting.get(note["n"])
        if waiting is not None:
            waiting.heard(facts_told(note), now, was_told=True)

    def forget(self, number: int) -> None:
        """A request waits no more."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            self._host.sleep(waiting)

    def go_on(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        token: CallToken,
        facts: LegFacts | None,
        now: float,
    ) -> None:
        """Send it on with what is known of its sender."""
        place = None
        if facts is None or not _is_from(flow, facts.source):
            account = self._account_of(request, facts)
            if account is None:
                may_move = facts is not None and self._may_stranger(flow, facts)
            elif self._is_registered(account, facts, request, flow):
                may_move = True
            elif not self._has_proved(tx, request, flow, account, facts, now):
                return
            else:
                may_move = True
            if may_move and (facts is None or request.cseq_number > facts.cseq):
                is_direct = len(request.values("via")) == 1
                reached = flow if token.pinned else flow_behind_contact(request, flow)
                place = Place(reached, flow) if is_direct else None
        self.router.pass_on(tx, request, flow, token, place, now)

    def moved(self, token: CallToken, request: Request, place: Place, now: float) -> None:
        """Its 2xx has come: remember where the party is, and tell the other workers."""
        host, config = self._host, self._host.config
        party = party_of(token, request, is_caller=token.from_caller(request.from_tag))
        host.calls.party_moved(party, place, now)
        for node in config.nodes or (config.node_number,):
            for slot in range(config.slots):
                host.note((node, slot), moved_note(party, place))

    def _account_of(self, request: Request, facts: LegFacts | None) -> Account | None:
        directory = self._host.directory
        if facts is not None:
            return None if facts.line_id is None else directory.account(facts.line_id)
        return self._host.own.account_of(request.from_.uri)

    def _may_stranger(self, flow: Flow, facts: LegFacts) -> bool:
        if facts.peer:
            return self._host.trusted_peer(flow) == facts.peer
        source = facts.source
        return (
            source is not None
            and same_host(source.remote[0], flow.remote[0])
            and source.transport == flow.transport
        )

    def _is_registered(
        self, account: Account, facts: LegFacts | None, request: Request, flow: Flow
    ) -> bool:
        """Whether the same device is registered by this flow."""
        device_id = 0 if facts is None else facts.device_id
        has_rport = request.via.rport is not None
        return any(
            (not device_id or binding.device_id == device_id) and _is_by(binding, flow, has_rport)
            for binding in self._host.bindings.bindings(account.id, self._host.at)
        )

    def _has_proved(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        account: Account,
        facts: LegFacts | None,
        now: float,
    ) -> bool:
        """Whether it carries right credentials of the same device; else it was challenged."""
        identity, call_id = self._identity, request.call_id
        verdict = identity.verify(
            request, flow, proxy=True, bound_to=call_id, domain=account.domain
        )
        device = verdict.device
        if verdict.kind is VerdictKind.OK and device is not None:
            is_same = verdict.account is not None and verdict.account.id == account.id
            if is_same and (facts is None or facts.device_id in (0, device.id)):
                return True
            self._host.refuse(tx, request, now, 403, "From Not Yours")
            return False
        identity.challenge(tx, request, verdict, call_id, account.domain, now, proxy=True)
        return False


def _is_from(flow: Flow, source: Flow | None) -> bool:
    """Whether a request comes from where its sender was; a service of ours has no such place."""
    if source is None:
        return True
    if flow.reliable or source.reliable:
        return flow == source
    return flow.remote == source.remote and flow.transport == source.transport


def _is_by(binding: Binding, flow: Flow, has_rport: bool) -> bool:
    """Whether a phone that is registered like this sends by that flow."""
    if binding.flow is not None:
        return _is_from(flow, binding.flow)
    if binding.path or flow.reliable:
        return False
    try:
        uri = parse_uri(binding.contact)
    except MalformedMessage:
        return False
    if not same_host(uri.host, flow.remote[0]):
        return False
    # Who wants no answers at its source may send from another port than it listens at.
    return not has_rport or (uri.port or DEFAULT_PORT) == flow.remote[1]


class _Waiting:
    """One request for which the holder of its call was asked; the owner of its transaction."""

    __slots__ = ("_flow", "_moving", "_number", "_request", "_token", "_tx", "due")

    def __init__(
        self,
        moving: Moving,
        number: int,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        token: CallToken,
        now: float,
    ) -> None:
        self._moving = moving
        self._number = number
        self._tx = tx
        self._request = request
        self._flow = flow
        self._token = token
        self.due = now + INQUIRY_WAIT_S

    def advance(self, now: float) -> None:
        """The holder may be gone."""
        if now >= self.due:
            self.heard(None, now)

    def heard(self, facts: LegFacts | None, now: float, *, was_told: bool = False) -> None:
        """Go on with what is known; `was_told`: the holder has answered."""
        self._moving.forget(self._number)
        self._tx.owner = None
        what = self._tx, self._request, self._flow, self._token
        try:
            if facts is None and was_told:
                self._moving.router.pass_on(*what, None, now)  # nobody has answered the call yet
            else:
                self._moving.go_on(*what, facts, now)
        except MalformedMessage as error:
            self._tx.respond(self._request.respond(error.status, error.reason), now)

    def cancel(self, now: float, reasons: Sequence[str] = (), status: int = 487) -> None:
        """The sender has given it up."""
        self._moving.forget(self._number)
        self._tx.owner = None
        self._tx.respond(self._request.respond(status), now)
