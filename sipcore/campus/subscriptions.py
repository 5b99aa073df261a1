"""Subscriptions: we stay on the path of what a SUBSCRIBE or REFER begins (RFC 6665 §4.3, RFC 3515).

A subscriber on a connection, or behind a NAT, is reached by its flow alone, so its NOTIFY has to come
through us (RFC 3261 §16.6 item 4, RFC 5626 §5.3). Each branch of the first request has a Record-Route
with a call token of its own kind. The NOTIFY get one with the same token: where one is there before the
2xx, or instead of it, as those of the other branches of a fork are, the subscriber's route is that.

Inside a subscription SUBSCRIBE and NOTIFY pass, of its packages alone. As in a call nobody is
challenged there: the token is known to both parties only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.apps.host import Host
from sipcore.calls import CallToken, Subscription
from sipcore.calls.limits import (
    LAST_NEWS_S,
    LONGEST_SUBSCRIPTION_S,
    MAX_PARTY,
    USUAL_SUBSCRIPTION_S,
)
from sipcore.calls.subscriptions import AS_BEFORE, OVER, REFER_PACKAGES, news_note
from sipcore.calls.token import PARAMETER
from sipcore.campus.dialog_parts import contact_of, flow_behind_contact
from sipcore.campus.incoming import Caller, Incoming
from sipcore.campus.method_rules import asks_for_the_lines_own, packages
from sipcore.eventlog import new_context
from sipcore.message import Request, Response, is_sips, parse_name_addr
from sipcore.message.grammar import parse_uint
from sipcore.proxy import OwnRoute, ProxyHost, Purpose, Trust, forward
from sipcore.routing import Fork, Group, Plan, Relay, Target
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow

SUBSCRIBES: Final = ("SUBSCRIBE", "REFER")
"""Methods that make a dialog with notifications in it."""
INSIDE: Final = ("NOTIFY", "SUBSCRIBE")
"""Methods that pass inside a subscription."""
TOKEN: Final = f";{PARAMETER}="


class SubscriptionRelay(Purpose):
    """A SUBSCRIBE or REFER outside of a dialog, on its way to one of us or to a foreign domain."""

    __slots__ = ("_host", "_subscription", "pinned")

    def __init__(self, host: Host, subscription: Subscription, pinned: bool) -> None:
        self._host = host
        self._subscription = subscription
        self.pinned = pinned
        """Whether a side of it is no account of ours: the two reach one another and nobody else."""

    def record_route(self, target: Target, incoming: Flow, outgoing: Flow) -> str:
        """Stay on the path; the token names the flows that contacts do not, as a call's does."""
        host, held = self._host, self._subscription
        is_spare = not self.pinned and target.flow is None and not target.path
        token = host.tokens.make(
            held.context,
            held.call_id,
            held.subscriber_tag,
            caller_flow=held.flow,
            callee_flow=outgoing if self.pinned or is_spare else target.flow,
            pinned=self.pinned,
            is_spare=is_spare,
            caller_line=held.subscriber
            if self.pinned and isinstance(held.subscriber, int)
            else None,
            is_subscription=True,
        )
        secure = is_sips(target.uri_text)
        first_hop_secure = bool(target.path) and is_sips(parse_name_addr(target.path[0]).uri_text)
        return host.own.record_routes(
            incoming,
            outgoing,
            parameters=TOKEN + token,
            secure=secure,
            leaves_secure=secure or first_hop_secure,
        )

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """A 2xx says for how long; after a refusal there is no subscription."""
        host, context = self._host, self._subscription.context
        if response.status >= 300:
            host.subscriptions.end_refused(context)
        elif response.status >= 200:
            host.subscriptions.heard(context, response.to_tag, _granted_s(response), now, host.at)
        return True

    def asker(self, host: ProxyHost, request: Request) -> str:
        """The subscriber's share, whatever its From says."""
        return _share_of(self._subscription)


class InSubscriptionRelay(Purpose):
    """A SUBSCRIBE or NOTIFY inside a subscription."""

    __slots__ = ("_host", "_request", "_subscription", "_token", "_token_text")

    def __init__(
        self,
        host: Host,
        request: Request,
        subscription: Subscription | None,
        token: CallToken | None,
        token_text: str,
    ) -> None:
        self._host = host
        self._request = request
        self._subscription = subscription
        """None where another worker holds it."""
        self._token = token
        self._token_text = token_text
        """"" where the request came without: its sender does not know our Route."""

    def record_route(self, target: Target, incoming: Flow, outgoing: Flow) -> str | None:
        """On all NOTIFY, for that one of them may make the dialog (RFC 6665 §4.3)."""
        if self._request.method != "NOTIFY" or not self._token_text:
            return None
        secure = is_sips(target.uri_text)
        return self._host.own.record_routes(
            incoming,
            outgoing,
            parameters=TOKEN + self._token_text,
            secure=secure,
            leaves_secure=secure,
        )

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """Whoever holds the subscription hears how long it goes on."""
        request, status = self._request, response.status
        is_news = request.method == "NOTIFY"
        if status == 481:
            lasts_s = OVER
        elif 200 <= status < 300:
            lasts_s = _state_s(request) if is_news else _granted_s(response)
            if lasts_s == AS_BEFORE and not is_news:
                lasts_s = _seconds(request.first("expires"))
        else:
            return True
        self._heard(request.from_tag if is_news else request.to_tag, lasts_s, now)
        return True

    def _heard(self, tag: str, lasts_s: float, now: float) -> None:
        host, token = self._host, self._token
        if self._subscription is not None:
            host.subscriptions.heard(self._subscription.context, tag, lasts_s, now, host.at)
        elif token is not None:
            host.note(token.home, news_note(token.context, tag, lasts_s))

    def asker(self, host: ProxyHost, request: Request) -> str:
        """The subscriber's share: From may be anybody's here."""
        held = self._subscription
        if held is not None:
            return _share_of(held)
        return "" if self._token is None or self._token.pinned else f"call {self._token.context}"


class SubscriptionRouter:
    """Begins subscriptions, and routes what comes inside them.

    `next_target` is where a request with a token goes, `may_be_from` whether its sender may be whom
    From names, where another worker holds the subscription: as in a call (`InDialogRouter`).
    """

    __slots__ = ("_host", "_may_be_from", "_next_target")

    def __init__(
        self,
        host: Host,
        next_target: Callable[[Request, CallToken, bool], Target],
        may_be_from: Callable[[Request, CallToken, Flow], bool],
    ) -> None:
        self._host = host
        self._next_target = next_target
        self._may_be_from = may_be_from

    def handle(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        own: OwnRoute,
        token: CallToken,
        now: float,
    ) -> None:
        """A request with a To tag and a subscription's token."""
        host = self._host
        if request.method not in INSIDE:
            host.refuse(tx, request, now, 405, "", [("Allow", ", ".join(INSIDE))])
            return
        held = host.subscriptions.get(token.context, now)
        refused = self._refusal(request, flow, token, held)
        if refused is not None:
            tx.respond(refused, now)
            return
        relay = InSubscriptionRelay(host, request, held, token, own.token or "")
        from_subscriber = token.from_caller(request.from_tag)
        target = self._next_target(request, token, from_subscriber)
        self.send_on(tx, request, target, relay, _ends(token, held, from_subscriber), now)

    def send_on(
        self,
        tx: ServerTransaction,
        request: Request,
        target: Target,
        relay: InSubscriptionRelay,
        ends: tuple[Trust, Trust],
        now: float,
    ) -> None:
        """Pass on a request inside a subscription; `ends`: who sends it, and who gets it."""
        realm, (sender, receiver) = self._host.directory.realm, ends
        groups = (Group((target,)),)
        forward(
            self._host,
            tx,
            request,
            groups,
            relay,
            now,
            own_realm=realm,
            sender=sender,
            receiver=receiver,
        )

    def _refusal(
        self, request: Request, flow: Flow, token: CallToken, held: Subscription | None
    ) -> Response | None:
        """Why a request with a valid token is none of its subscription.

        One that another worker holds is known by its token alone.
        """
        host = self._host
        if held is None:
            is_elsewhere = token.home != host.home and (
                token.from_caller(request.from_tag) or token.from_caller(request.to_tag)
            )
            if not is_elsewhere:
                return request.respond(481, "Subscription Does Not Exist")
            if asks_for_the_lines_own(request):
                return request.respond(403, "Forbidden: Only The Line's Own Phones")
            if not self._may_be_from(request, token, flow):
                return request.respond(403, "From Not Yours")
            return None
        if held.subscriber_tag != (
            request.from_tag if request.method == "SUBSCRIBE" else request.to_tag
        ):
            return request.respond(481, "Subscription Does Not Exist")
        if packages(request) != held.packages:
            return request.respond(481, "Subscription Does Not Exist")
        uri = request.from_.uri
        domain = host.own.domain_of(uri)
        if domain is not None:
            account = host.directory.resolve(uri.user_decoded, domain)
            if account is not None and account.id in held.lines:
                return None
        elif uri.scheme in ("sip", "sips"):
            return None
        return None if uri.text in held.parties else request.respond(403, "From Not Yours")


def begin_subscription(host: Host, incoming: Incoming, plan: Plan, now: float) -> Purpose | None:
    """The purpose of a SUBSCRIBE or REFER outside of a dialog; None where it can make none."""
    request, caller = incoming.request, incoming.caller
    contact, found = contact_of(request), list(REFER_PACKAGES)
    if request.method == "SUBSCRIBE":
        found = packages(request) or []
    if not found or not contact or not caller.is_known or caller.trust is Trust.OWN:
        return None
    expires = request.first("expires") if request.method == "SUBSCRIBE" else None
    lasts_s = float(USUAL_SUBSCRIPTION_S if expires is None else parse_uint(expires, "expires"))
    pinned = caller.account is None or isinstance(plan, Relay)
    parties = _kept(request.from_.uri_text), _kept(request.to.uri_text)
    flow = incoming.flow if pinned else flow_behind_contact(request, incoming.flow)
    held = Subscription(
        new_context(host.random),
        (request.call_id, request.from_tag),
        (_subscriber(caller), plan.callee.id if isinstance(plan, Fork) else None),
        parties,
        found,
        (contact, flow),
        now + min(lasts_s, LONGEST_SUBSCRIPTION_S) + LAST_NEWS_S,
    )
    host.subscriptions.begin(held, now)
    return SubscriptionRelay(host, held, pinned)


def _share_of(held: Subscription) -> str:
    """Whose share of the questions to the DNS the names of a subscription take."""
    return f"line {held.subscriber}" if isinstance(held.subscriber, int) else ""


def _subscriber(caller: Caller) -> int | str:
    return caller.peer if caller.account is None else caller.account.id


def _kept(uri_text: str) -> str:
    return uri_text if len(uri_text) <= MAX_PARTY else ""


def _ends(
    token: CallToken, held: Subscription | None, from_subscriber: bool
) -> tuple[Trust, Trust]:
    """Who sends a request inside a subscription, and who gets it."""
    if held is None:
        both = Trust.STRANGER if token.pinned else Trust.ACCOUNT
        return both, both
    subscriber, notifier = held.lines
    if subscriber == notifier:
        return Trust.ACCOUNT, Trust.OWN
    ends = (
        Trust.ACCOUNT if isinstance(subscriber, int) else Trust.PEER,
        Trust.STRANGER if notifier is None else Trust.ACCOUNT,
    )
    return ends if from_subscriber else ends[::-1]


def _granted_s(response: Response) -> float:
    """How long a 2xx says that a subscription lasts."""
    if (response.first("refer-sub") or "").strip().lower().startswith("false"):
        return OVER  # RFC 4488 §4
    return _seconds(response.first("expires"))


def _state_s(request: Request) -> float:
    """How long a NOTIFY says that its subscription goes on (RFC 6665 §4.1.3)."""
    value = request.first("subscription-state")
    if value is None:
        return AS_BEFORE
    state, *params = value.split(";")
    if state.strip(" \t").lower() == "terminated":
        return OVER
    for param in params:
        name, _, seconds = param.partition("=")
        if name.strip(" \t").lower() == "expires":
            return _seconds(seconds)
    return AS_BEFORE


def _seconds(text: str | None) -> float:
    """A number of seconds as a peer writes it; what cannot be read says nothing."""
    bare = "" if text is None else text.strip(" \t")
    return float(bare) if 0 < len(bare) < 11 and bare.isascii() and bare.isdecimal() else AS_BEFORE


__all__ = ["SUBSCRIBES", "InSubscriptionRelay", "SubscriptionRouter", "begin_subscription"]
