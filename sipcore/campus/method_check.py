"""Holding a request outside of a dialog to the table of methods (`method_rules`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipcore.apps.host import Host
from sipcore.calls.named import DialogName, NamedCall, named_call, partners_of, party_of
from sipcore.campus.incoming import Incoming
from sipcore.campus.method_rules import (
    COMMANDS,
    METHODS,
    OTHERS,
    PRIVATE_PACKAGES,
    Rule,
    names_dialog,
    packages,
)
from sipcore.directory import Account
from sipcore.message import Request
from sipcore.proxy import Trust
from sipcore.routing import Fork, Plan, Refuse, Relay, Service

NOT_ALLOWED: Final = Refuse(405, trace=("method not for a phone",))
NO_DIALOG: Final = Refuse(481, trace=("method outside of a dialog",))
NO_SUBSCRIPTION: Final = Refuse(481, "Subscription Does Not Exist", trace=("no subscription",))
BAD_EVENT: Final = Refuse(489, trace=("no event package",))
NOT_THE_LINE: Final = Refuse(
    403, "Forbidden: Only The Line's Own Phones", trace=("for the line's own phones",)
)
NO_CALL: Final = Refuse(
    403, "Forbidden: No Call Of Both Is Named", trace=("REFER without a call of both",)
)

NO_SUCH_CALL: Final = Refuse(
    403, "Forbidden: No Call To Take Over", trace=("Replaces or Join without a call of theirs",)
)


class MethodCheck:
    """What a plan becomes by the table."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def checked(self, incoming: Incoming, plan: Plan) -> Plan:
        """The plan where the table lets the request pass, else a refusal."""
        request = incoming.request
        if request.has("replaces") or request.has("join"):
            refused = self._refusal_of_takeover(incoming, plan)
            if refused is not None:
                return refused
        rule = METHODS.get(request.method, OTHERS)[incoming.caller.trust]
        if rule is Rule.PASS:
            if not request.has("event"):
                return plan
            rule = Rule.NOT_COMMAND
        if isinstance(plan, Service):
            return plan  # it knows what it can do
        if rule is Rule.FOREIGN:
            is_line = isinstance(plan, Fork) or request.uri.scheme == "tel"
            return NOT_ALLOWED if is_line else plan
        if rule is not Rule.NOT_COMMAND and incoming.caller.trust is Trust.STRANGER:
            return NOT_ALLOWED  # whether there is such a line or not
        if isinstance(plan, Refuse):
            return plan
        refused = self._refusal(incoming, plan, rule)
        return plan if refused is None else refused

    def _refusal(self, incoming: Incoming, plan: Fork | Relay, rule: Rule) -> Refuse | None:
        account = incoming.caller.account
        if account is None and isinstance(plan, Relay):
            return None  # a trusted peer's, for others
        own_line = account is not None and isinstance(plan, Fork) and plan.callee.id == account.id
        if rule in (Rule.PACKAGE, Rule.NOT_COMMAND):
            return _refusal_of_package(incoming, rule, own_line)
        if rule in (Rule.OWN_LINE, Rule.CALL, Rule.NEWS):
            return None if own_line else self._refusal_beyond_line(incoming, plan, rule, account)
        return NO_DIALOG if rule is Rule.NO_DIALOG else NOT_ALLOWED

    def _refusal_beyond_line(
        self, incoming: Incoming, plan: Fork | Relay, rule: Rule, account: Account | None
    ) -> Refuse | None:
        if rule is Rule.NEWS:
            return NO_SUBSCRIPTION
        if rule is Rule.OWN_LINE or account is None:
            return NOT_THE_LINE
        calls = self.calls_named(incoming)
        return None if any(_joins(call, account, plan) for call in calls) else NO_CALL

    def names(self, incoming: Incoming) -> DialogName | None:
        """The call that a request names and that decides whether it passes, if it names one."""
        request = incoming.request
        for key in ("replaces", "join"):
            if request.has(key):
                return _name_in(request, key)
        if request.method == "REFER" and incoming.caller.account is not None:
            return _name_in(request, "target-dialog")
        return None

    def party(self, incoming: Incoming) -> str:
        """Of whose calls the other workers are asked besides; "" of nobody's."""
        account, request = incoming.caller.account, incoming.request
        if account is None or not (request.has("replaces") or request.has("join")):
            return ""
        return party_of(account)

    def _refusal_of_takeover(self, incoming: Incoming, plan: Plan) -> Refuse | None:
        """Whether Replaces (RFC 3891) or Join (RFC 3911) names no call of whom it leads to.

        An account must be in that call, or in one with a party of it, who has referred it there.
        """
        account, request = incoming.caller.account, incoming.request
        if isinstance(plan, Refuse) and incoming.caller.trust is not Trust.STRANGER:
            return None
        if incoming.caller.peer and isinstance(plan, Relay):
            return None
        if not isinstance(plan, Fork | Relay):
            return NO_SUCH_CALL
        if len(request.rows("replaces")) + len(request.rows("join")) != 1:
            return NO_SUCH_CALL
        for call in self.calls_named(incoming):
            if not _leads_into(call, call.parties, plan):
                continue
            if account is None or self._is_near(incoming, account, call):
                return None
        return NO_SUCH_CALL

    def _is_near(self, incoming: Incoming, account: Account, call: NamedCall) -> bool:
        """Whether an account is in a call, or in another one with a party of it.

        That one may just have ended: who transfers need not wait for what comes of it.
        """
        me = party_of(account)
        if me in call.parties or not incoming.partners.isdisjoint(call.parties):
            return True
        host = self._host
        calls = host.calls.now_and_lately(host.now)
        return not partners_of(calls, me).isdisjoint(call.parties)

    def calls_named(self, incoming: Incoming) -> list[NamedCall]:
        """The calls that a request names, by its dialog or by a call token; held here or elsewhere."""
        name, calls = self.names(incoming), self._host.calls
        found = list(incoming.calls)
        if name is not None:
            found += [named_call(call) for call in calls.named(*name)]
        if incoming.token:
            call_id = incoming.request.call_id if name is None else name.call_id
            token = self._host.tokens.check(incoming.token, call_id)
            call = None if token is None else calls.get(token.context)
            if call is not None:
                found.append(named_call(call))
        return found


def _name_in(request: Request, key: str) -> DialogName | None:
    value = request.first(key)
    return None if value is None else names_dialog(value)


def _refusal_of_package(incoming: Incoming, rule: Rule, own_line: bool) -> Refuse | None:
    found = packages(incoming.request)
    if found is None or (not found and rule is Rule.PACKAGE):
        return BAD_EVENT
    barred = PRIVATE_PACKAGES if rule is Rule.PACKAGE else COMMANDS
    return None if own_line or barred.isdisjoint(found) else NOT_THE_LINE


def _joins(call: NamedCall, account: Account, plan: Fork | Relay) -> bool:
    """Whether both are in this call, which is answered: the account, and whom the plan leads to."""
    parties = list(call.parties)
    if not call.answered or party_of(account) not in parties:
        return False
    parties.remove(party_of(account))
    return _leads_into(call, parties, plan)


def _leads_into(call: NamedCall, parties: Sequence[str], plan: Fork | Relay) -> bool:
    """Whether a plan leads to one of these parties of a call."""
    if isinstance(plan, Fork):
        return party_of(plan.callee) in parties
    return plan.target.uri_text in call.places


__all__ = ["MethodCheck"]
