"""Where a response goes: `received`, `rport` and sent-by (RFC 3261 §18.2, RFC 3581 §4)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from sipcore.message import BLANKS, Request, Via
from sipcore.transport.flow import Flow, is_address, same_host
from sipcore.transport.networks import network_of
from sipcore.transport.written import is_local_name

DEFAULT_PORT: Final = 5060


def stamp_source(request: Request, flow: Flow) -> None:
    """Write into the topmost Via where the request really came from.

    `received` is added when sent-by is a name or another address, and always with `rport`, which is
    filled when it came without a value (RFC 3261 §18.2.1, RFC 3581 §4). What the sender says of that
    itself is taken out: of two equal parameters the first counts.
    """
    via = request.via
    host, port = flow.remote
    if via.received is not None and (via.received != host or via.rport == ""):
        request.unstamped_via = _without_received(via)
        via.stamp(host, str(port) if via.rport == "" else None)
        _stamp(request, str(via), via)
    elif via.rport == "":
        text = request.first("via") or ""
        via.stamp(host, str(port))
        request.unstamped_via = text
        if text.endswith(";rport") and "," not in text:
            request.stamped_via = value = f"{text[:-6]};received={host};rport={port}"
            request.stamp_only_via(value)
            return
        request.unstamped_via = value = via_value(request)
        head, _, tail = _split_rport(value)
        _stamp(request, f"{head};received={host};rport={port}{tail}", via)
    elif via.host != host and via.received != host and not same_host(via.host, host):
        via.stamp(host)
        request.unstamped_via = value = via_value(request)
        _stamp(request, f"{value.rstrip(';')};received={host}", via)


def _stamp(request: Request, value: str, via: Via) -> None:
    request.stamped_via = value
    request.stamp_via(value, via)


def _without_received(via: Via) -> str:
    params = {name: value for name, value in via.params.items() if name != "received"}
    value = Via(via.transport, via.host, via.port, via.sent_by, params)
    value.protocol = via.protocol
    return str(value)


def via_value(request: Request) -> str:
    """The topmost Via value as text."""
    row = request.first("via") or ""
    return request.values("via")[0] if "," in row else row


def _split_rport(text: str) -> tuple[str, str, str]:
    """Text around a valueless `;rport`, which may be folded or in any case."""
    if text.endswith(";rport"):
        return text[:-6], "rport", ""
    lowered = text.lower()
    start = lowered.find("rport")
    while start > 0:
        before = text[:start].rstrip(BLANKS)
        after = text[start + 5 :].lstrip(BLANKS)
        if before.endswith(";") and (not after or after[0] in ";,="):
            if after.startswith("="):
                after = after[1:].lstrip(BLANKS)
            return before[:-1].rstrip(BLANKS), "rport", after
        start = lowered.find("rport", start + 5)
    return text, "", ""


def response_flow(request: Request, flow: Flow) -> Flow:
    """The flow on which responses to this request go back (RFC 3261 §18.2.2, RFC 3581 §4).

    Call it after `stamp_source`. Streams answer on their own connection. Who does not ask for `rport`
    and writes an address behind a NAT, or a name that nobody else knows, hears of us where the request
    came from, and not at the port of that address, as §18.2.2 has it: the NAT has another. A maddr counts where it is
    of the sender's own network: whoever asks for answers to be sent to others, or to many, would
    turn us on them.
    """
    if flow.transport != "UDP":
        return flow
    via = request.via
    if via.rport is not None:
        return flow
    port = via.port or DEFAULT_PORT
    host = flow.remote[0]
    if "maddr" in via.params:
        maddr = (via.params["maddr"] or "").strip("[]")
        host = maddr if _is_neighbour(maddr, host) else host
    elif port == flow.remote[1] or _is_behind_nat(via.host, host):
        return flow
    return Flow(flow.transport, flow.local, (host, port))


def _is_behind_nat(host: str, source: str) -> bool:
    """Whether a sent-by is another address than the source, or a name that only its machine knows."""
    bare = host.strip("[]")
    if is_address(bare):
        return not same_host(bare, source)
    return is_local_name(host)


def _is_neighbour(host: str, source: str) -> bool:
    """Whether two addresses are of one network: /24 of IPv4, /64 of IPv6; broadcast is none."""
    if not is_address(host) or (":" in host) != (":" in source):
        return False
    address = ip_address(host)
    ends = address.version == 4 and int(address) & 0xFF in (0, 0xFF)
    return network_of(host) == network_of(source) and not address.is_multicast and not ends
