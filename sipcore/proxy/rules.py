"""Before a request is routed: validation (RFC 3261 §16.3) and our own Routes (§16.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from zlib import crc32

from sipcore.message import Request, Response, Uri
from sipcore.proxy.forward import read_max_breadth

ROUTABLE_SCHEMES: Final = frozenset({"sip", "sips", "tel", "urn"})
PROXY_FEATURES: Final[frozenset[str]] = frozenset()
"""Option tags a Proxy-Require may name; none so far."""


def refusal(
    request: Request, own_branch: Callable[[str], str], tag_for: Callable[[Request], str]
) -> Response | None:
    """The response that ends this request here, or None when it may be routed.

    `own_branch` gives the branch of a Via value that we wrote, "" for others; `tag_for` gives the
    response's To tag.
    """
    if request.uri.scheme not in ROUTABLE_SCHEMES:
        return request.respond(416, to_tag=tag_for(request))
    max_forwards = request.max_forwards
    if max_forwards is not None and max_forwards <= 0:
        return request.respond(483, to_tag=tag_for(request))
    if is_loop(request, own_branch):
        return request.respond(482, to_tag=tag_for(request))
    if request.has("max-breadth"):
        read_max_breadth(request)  # raises
    if not request.has("proxy-require") or request.method in ("ACK", "CANCEL"):
        return None
    unknown = [t for t in request.proxy_require if t not in PROXY_FEATURES]
    if unknown:
        headers = [("Unsupported", ", ".join(unknown))]
        return request.respond(420, to_tag=tag_for(request), headers=headers)
    return None


def is_loop(request: Request, own_branch: Callable[[str], str]) -> bool:
    """Whether the request was here before with the same routing-relevant fields (RFC 5393 §4.2).

    A request that comes back with another Request-URI is a spiral, which is allowed.
    """
    if request.keys.count("via") == 1 and "," not in (request.first("via") or ""):
        return False
    own = [branch for value in request.values("via")[1:] if (branch := own_branch(value))]
    if not own:
        return False
    suffix = "." + loop_hash(request)
    return any(branch.endswith(suffix) for branch in own)


def loop_hash(request: Request) -> str:
    """Eight hex digits over all that routing may depend on (RFC 5393 §4.2.1)."""
    text = (
        f"{request.uri_text}|{request.from_tag}|{request.to_tag}|{request.call_id}"
        f"|{request.cseq_number}"
    )
    for key in ("route", "proxy-require", "proxy-authorization"):
        if request.has(key):
            text += "|".join(request.rows(key))
    # No secret is kept by it: who forges a match only has his own request refused.
    return f"{crc32(text.encode('utf-8', 'surrogateescape')):08x}"


class OwnRoute:
    """What our own Route or Request-URI said."""

    __slots__ = ("found", "token", "uri")

    def __init__(self, found: bool, token: str | None = None, uri: Uri | None = None) -> None:
        self.found = found
        self.uri = uri
        """That URI, where it is none of the usual ones."""
        self.token = token
        """The parameter asked for, of the URI of ours that was on top of the Route (or in a strict
        router's Request-URI)."""


NO_OWN_ROUTE: Final = OwnRoute(False)


def take_own_routes(
    request: Request,
    is_ours: Callable[[Uri], bool],
    parameter: str = "",
    usual: tuple[str, ...] = (),
) -> OwnRoute:
    """Undo strict routing and take our own URIs off the top of the Route (RFC 3261 §16.4).

    Changes the request. `is_ours` tells whether a URI names this service as a host. `usual` are
    the beginnings of the values we record-route with, up to and with `parameter=`.
    """
    row = request.first("route")
    if row is None:
        return NO_OWN_ROUTE
    uri = request.uri
    if uri.params and "lr" in uri.params and is_ours(uri):
        _undo_strict_routing(request)
        first = _take_top(request, is_ours)
        top = uri if first is None else first
        return OwnRoute(True, top.params.get(parameter), top)
    for head in usual:
        if row.startswith(head):
            token, _, rest = row[len(head) :].partition(">")
            if rest or ";" in token or "?" in token or '"' in token:
                break
            request.pop("Route")
            if request.has("route"):
                _take_top(request, is_ours)
            return OwnRoute(True, token)
    first = _take_top(request, is_ours)
    return NO_OWN_ROUTE if first is None else OwnRoute(True, first.params.get(parameter), first)


def strip_own_maddr(request: Request, listens_at: Callable[[str, int, str], bool]) -> None:
    """Take a maddr that names us out of the Request-URI (RFC 3261 §16.4).

    `listens_at(host, port, transport)` tells whether that is one of our sockets.
    """
    uri = request.uri
    maddr, transport = uri.params.get("maddr") or "", uri.transport or "UDP"
    port = uri.port or (5061 if transport == "TLS" else 5060)
    if not listens_at(maddr.lower(), port, transport):
        return
    params = {n: v for n, v in uri.params.items() if n not in ("maddr", "transport")}
    stripped = Uri(uri.scheme, uri.user, uri.host, None, params, password=uri.password)
    request.uri_text = stripped.text


def _undo_strict_routing(request: Request) -> None:
    """The Request-URI is one we record-routed with: the real one is the last Route value."""
    values = request.values("route")
    if not values:
        return  # a row without a value
    last = request.routes[-1].uri_text
    request.remove("Route")
    for value in values[:-1]:
        request.append("Route", value)
    request.uri_text = last


def _take_top(request: Request, is_ours: Callable[[Uri], bool]) -> Uri | None:
    """Take all values of ours off the top; the URI of the first.

    One behind them that names another user stays: it is the token of another flow, for when the
    request comes back to us.
    """
    routes = request.routes
    first: Uri | None = None
    count = 0
    for route in routes:
        uri = route.uri
        if not is_ours(uri):
            break
        if first is None:
            first = uri
        elif first.user and uri.user and uri.user != first.user:
            break
        count += 1
    if count == len(routes):
        request.remove("Route")  # rows without a value say nothing, either
    elif count == 1:
        request.pop("Route")
    elif count:
        rest = request.values("route")[count:]
        request.remove("Route")
        for value in rest:
            request.append("Route", value)
    return first
