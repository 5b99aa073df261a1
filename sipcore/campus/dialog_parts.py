"""What a proxy keeps of the messages that make and refresh a dialog (RFC 3261 §12, §16.6)."""

from __future__ import annotations

from typing import Final

from sipcore.apps.host import Host
from sipcore.bindings import Binding
from sipcore.calls.token import PARAMETER
from sipcore.campus.limits import MAX_KEPT
from sipcore.errors import MalformedMessage
from sipcore.message import Request, Response, Uri, parse_uri
from sipcore.routing import Target
from sipcore.transport.flow import Flow, same_host
from sipcore.transport.way_back import DEFAULT_PORT
from sipcore.transport.written import is_mapped, is_of_use

KEPT: Final = ("record-route", "contact", "from", "to")


def is_too_much_to_keep(message: Request | Response, most: int = MAX_KEPT) -> bool:
    """Whether what we keep of it is longer than that."""
    if sum(map(len, message.lines)) <= most:
        return False  # as nearly always, told without looking for the rows
    return sum(len(row) for key in KEPT for row in message.rows(key)) > most


def contact_of(message: Request | Response) -> str:
    """The remote target; "" when there is none, or none that anybody could send to."""
    try:
        contacts = message.contacts
        return contacts[0].uri.text if contacts else ""
    except MalformedMessage:
        return ""


def flow_behind_contact(request: Request, flow: Flow) -> Flow | None:
    """The flow a request came by, when its Contact would not lead back to the sender.

    True for streams the sender opened and for a Contact whose host is not the source address (NAT),
    or whose port is not, where the sender wants its answers at the source (`rport`).
    """
    if flow.transport != "UDP":
        return flow
    if request.first("via") is None or len(request.values("via")) > 1:
        return None  # another proxy is in between: its Record-Route leads back
    contacts = request.contacts
    if not contacts:
        return flow
    uri = contacts[0].uri
    if not same_host(uri.host, flow.remote[0]):
        return flow
    if (uri.port or DEFAULT_PORT) == flow.remote[1] or request.via.rport is None:
        return None  # as nearly always
    return flow if is_mapped(uri, flow) else None


def spare_flow(uri: Uri, flow: Flow) -> Flow | None:
    """The flow that an INVITE went by, where the target of a request leads to nobody."""
    is_contact = uri.scheme in ("sip", "sips")
    return flow if is_contact and not is_of_use(uri.host, flow.remote[0]) else None


def flow_of_answer(contact: str, flow: Flow) -> Flow | None:
    """The flow that an INVITE went by, where its 2xx has another host as Contact.

    Behind a NAT phones answer with another address than they registered, with `.invalid` or 0.0.0.0.
    """
    try:
        return None if same_host(parse_uri(contact).host, flow.remote[0]) else flow
    except MalformedMessage:
        return None


def device_behind(host: Host, target: Target) -> Binding | None:
    """The registration that a target was made from, while there is one and this node can reach it."""
    if target.line_id is None:
        return None
    contact = target.hop or target.uri_text
    live = host.bindings.bindings(target.line_id, host.at)
    found = [b for b in live if b.contact == contact and target.flow in (None, b.flow)]
    own = [b for b in found if b.flow is None or b.node == host.config.node]
    return own[0] if own else None


def routes_above_ours(request: Request, response: Response) -> list[str]:
    """The Record-Route values between us and the callee: those that stand above ours.

    Ours are right above those that the request came with, one or two (with the same token). Others
    further on may name theirs alike, or be ourselves, where a call has come by twice.
    """
    values = response.record_routes
    end = len(values) - len(request.record_routes)
    own = token_in_route(values[end - 1]) if end > 0 else ""
    if not own:
        return values[: max(end, 0)]
    while end > 0 and token_in_route(values[end - 1]) == own:
        end -= 1
    return values[:end]


def token_in_route(value: str) -> str:
    """The call token in a Route or Record-Route value, "" without one."""
    _, _, rest = value.partition(f";{PARAMETER}=")
    return rest.partition(">")[0].partition(";")[0]
