"""Our Record-Route, and whose flow must be in its token: how later requests of a call find back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipcore.calls.token import PARAMETER
from sipcore.message import Request, is_sips, parse_name_addr
from sipcore.transport.flow import Address, Flow, bracketed

if TYPE_CHECKING:
    from sipcore.node.worker import Worker


def flow_behind_contact(request: Request, flow: Flow) -> Flow | None:
    """The flow a request came by, when its Contact would not lead back to the sender.

    True for streams the sender opened and for a Contact whose host is not the source address (NAT).
    """
    if flow.transport != "UDP":
        return flow
    if request.first("via") is None or len(request.values("via")) > 1:
        return None  # another proxy is in between: its Record-Route leads back
    contacts = request.contacts
    if not contacts:
        return flow
    return None if contacts[0].uri.host.strip("[]") == flow.remote[0] else flow


def record_route_value(
    worker: Worker,
    incoming: Flow,
    outgoing: Flow,
    token: str,
    secure: bool = False,
    leaves_secure: bool = False,
) -> str:
    """Our Record-Route: one value, or two where the transport or the scheme changes (RFC 5658).

    `secure` tells whether the Request-URI is a sips URI, `leaves_secure` whether it is one or the
    next Route is: then the value is one too (RFC 3261 §16.6 item 4).
    """
    inner = _route_uri(worker, incoming, token, secure)
    same = incoming.transport == outgoing.transport and incoming.local == outgoing.local
    if same and secure == leaves_secure:
        return inner
    return f"{_route_uri(worker, outgoing, token, leaves_secure)}, {inner}"


def _route_uri(worker: Worker, flow: Flow, token: str, secure: bool) -> str:
    return f"{route_head(flow.transport, worker.advertised(flow), secure)}{token}>"


def route_head(transport: str, address: Address, secure: bool = False) -> str:
    """Our Record-Route value up to where the token stands, the same for all calls of a listener."""
    host, port = address
    if secure:
        return f"<sips:{bracketed(host)}:{port};lr;{PARAMETER}="
    # RFC 5630 has no transport=tls, but says no other way to have a sip URI sent to over TLS.
    kind = "" if transport == "UDP" else f";transport={transport.lower()}"
    return f"<sip:{bracketed(host)}:{port}{kind};lr;{PARAMETER}="


def is_sips_route(value: str) -> bool:
    """Whether a Route value is a sips URI."""
    return is_sips(parse_name_addr(value).uri_text)
