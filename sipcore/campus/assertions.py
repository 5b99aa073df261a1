"""P-Asserted-Identity values to add, by where a request goes (RFC 3325 §5)."""

from __future__ import annotations

from sipcore.apps.host import Host
from sipcore.campus.identity import Identity
from sipcore.campus.incoming import Incoming
from sipcore.directory import TrustedPeers
from sipcore.errors import MalformedMessage
from sipcore.message import parse_name_addr, parse_uri
from sipcore.message.grammar import split_top
from sipcore.routing import Fork, Plan, Relay, Target


def asserted_identities(
    host: Host, identity: Identity, incoming: Incoming, plan: Plan
) -> list[str]:
    """What is said in our name of the caller.

    To our own phones, and to trusted peers whom only TLS can reach; what a trusted peer has said,
    to our own phones. Nothing where any kind of privacy was asked for.
    """
    caller, request = incoming.caller, incoming.request
    if request.wants_privacy or caller.is_hidden:
        return []
    if caller.account is None:
        is_said = caller.peer and isinstance(plan, Fork)
        rows = request.rows("p-asserted-identity") if is_said else []
        return [value for row in rows for value in _of_the_peer(row, identity)]
    is_peer = isinstance(plan, Relay) and leads_to_peer(host, plan.target)
    return [f"<sip:{caller.aor}>"] if is_peer or isinstance(plan, Fork) else []


def _of_the_peer(row: str, identity: Identity) -> list[str]:
    """What of this a trusted peer may assert: what is its own, never one of us."""
    try:
        values = [value for value in split_top(row, ",") if value]
        uris = [parse_name_addr(value).uri for value in values]
        ours = [identity.names_one_of_us(uri, has_numbers=True) for uri in uris]
        return [value for value, is_ours in zip(values, ours, strict=True) if not is_ours]
    except MalformedMessage:
        return []


def leads_to_peer(host: Host, target: Target) -> bool:
    peers = host.directory.part(TrustedPeers).domains
    if not peers:
        return False
    uri = parse_uri(target.uri_text)
    return uri.host in peers and (uri.scheme == "sips" or uri.transport == "TLS")
