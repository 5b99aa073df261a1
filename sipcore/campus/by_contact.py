"""A request for the contact of a phone, as phones send it that were told another phone's by a transfer.

The Contact of a call is where requests inside it go (RFC 3261 §12.1.1). Phones put it into Refer-To,
and into the Request-URI of what names that call from outside (RFC 5589 §7, RFC 4538). Where the
phone is behind a NAT or holds a connection it is no address of anybody's. It opens nothing by itself:
only the contact of a line in the call that is named leads there, and as a call to that line does,
to that one phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sipcore.apps.host import Host
from sipcore.bindings import Binding
from sipcore.calls.named import LineLeg, NamedCall
from sipcore.directory import Account
from sipcore.errors import MalformedMessage
from sipcore.message import Uri, is_sips, parse_uri
from sipcore.routing import Fork, Plan, Refuse, groups_by_q


def plan_by_contact(
    host: Host,
    calls: Sequence[NamedCall],
    uri: Uri,
    plan_of: Callable[[Account], Plan],
) -> Plan | None:
    """The plan for a URI that is a line's contact in one of these calls; None where it is not.

    `plan_of` gives the plan for a call to a line.
    """
    legs = [leg for call in calls for leg in call.legs if _is_same(leg.contact, uri)]
    if not legs:
        return None
    account = host.directory.account(legs[0].line_id)
    if account is None or any(leg.line_id != account.id for leg in legs):
        return Refuse(480, trace=("contact of several lines",))
    plan = plan_of(account)
    if not isinstance(plan, Fork) or plan.callee.id != account.id:
        return plan
    live = host.bindings.bindings(account.id, host.at)
    if uri.scheme == "sips":
        live = [binding for binding in live if is_sips(binding.contact)]
    groups = groups_by_q(_meant(host, live, legs, uri), uri.scheme == "sips")
    if [len(group.targets) for group in groups] != [1]:
        return Refuse(480, "", "", account, ("contact of no phone, or of several",))
    return Fork(account, groups, (*plan.trace, "by the contact of a call"))


def _meant(
    host: Host, live: Sequence[Binding], legs: Sequence[LineLeg], uri: Uri
) -> Sequence[Binding]:
    """The bindings of the phone that has this contact in the call: by its flow, or its contact.

    A phone may register another contact than it answers with, and two may have the same one.
    """
    flows = {host.bindings.flow_now(leg.flow, host.at) for leg in legs if leg.flow is not None}
    found = [binding for binding in live if binding.flow in flows] if flows else []
    if len(found) == 1:
        return found
    return [binding for binding in found or live if _is_same(binding.contact, uri)]


def _is_same(contact: str, uri: Uri) -> bool:
    """Whether a contact is this URI (RFC 3261 §19.1.4)."""
    if contact == uri.text:
        return True
    try:
        return parse_uri(contact).equals(uri)
    except MalformedMessage:
        return False


__all__ = ["plan_by_contact"]
