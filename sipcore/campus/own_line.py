"""What a phone sends to its own line: it is for the other phones of it, never for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipcore.apps.host import Host
from sipcore.bindings import Binding
from sipcore.campus.dialog_parts import contact_of
from sipcore.campus.incoming import Incoming
from sipcore.message import Request, parse_uri
from sipcore.routing import Fork, Group, Plan, Refuse, Target
from sipcore.transport.flow import Flow
from sipcore.transport.way_back import DEFAULT_PORT

EVENT_METHODS: Final = frozenset({"SUBSCRIBE", "PUBLISH"})
"""For packages of events, which phones of one line may serve each other; we serve none so far."""
NOT_SERVED: Final = Refuse(405, trace=("no package is served here",))


def for_the_others(host: Host, incoming: Incoming, plan: Plan) -> Plan:
    """The plan without the phone that asks, where it asks for its own line.

    Where nobody is left a call is 480. Packages of events are served by nobody then: 405 (RFC 3261
    §21.4.6); so are those asked of the server itself, or of a line that no phone is registered for.
    """
    account, request = incoming.caller.account, incoming.request
    if account is None:
        return plan
    is_event = request.method in EVENT_METHODS and request.has("event")
    if isinstance(plan, Fork):
        if plan.callee.id != account.id:
            return plan
        plan = _without_asker(host, incoming, plan)
    if isinstance(plan, Refuse) and is_event:
        mine = plan.callee is not None and plan.callee.id == account.id
        return NOT_SERVED if mine or not request.uri.user else plan
    return plan


def _without_asker(host: Host, incoming: Incoming, plan: Fork) -> Plan:
    live = host.bindings.bindings(plan.callee.id, host.at)
    asking = [b for b in live if _is_from(b, incoming.request, incoming.flow)]
    if not asking:
        return plan
    kept = [[t for t in group.targets if not _leads_to(t, asking)] for group in plan.groups]
    pairs = zip(kept, plan.groups, strict=True)
    groups = tuple([Group(tuple(targets), group.ring_s) for targets, group in pairs if targets])
    if not groups:
        return Refuse(480, callee=plan.callee, trace=("no other phone of the line",))
    return Fork(plan.callee, groups, (*plan.trace, "without the phone that asks"))


def _is_from(binding: Binding, request: Request, flow: Flow) -> bool:
    """Whether a binding leads to the sender of a request."""
    known = binding.flow
    if known is not None:  # maybe of another node
        return known.remote == flow.remote and known.transport == flow.transport
    if contact_of(request) == binding.contact:
        return True
    uri = parse_uri(binding.contact)
    return (uri.host.strip("[]"), uri.port or DEFAULT_PORT) == flow.remote


def _leads_to(target: Target, bindings: Sequence[Binding]) -> bool:
    """Whether a target, or another way to the same phone, is one of these bindings."""
    ways = (target, *target.other_flows)
    return any(
        (w.hop or w.uri_text) == b.contact and w.flow == b.flow for w in ways for b in bindings
    )


__all__ = ["EVENT_METHODS", "for_the_others"]
