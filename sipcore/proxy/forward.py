"""The copy of a request that goes out on one branch (RFC 3261 §16.6)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message import Message, Request, parse_auth_params, parse_name_addr, parse_uri
from sipcore.message.grammar import parse_uint, unescape
from sipcore.proxy.limits import MAX_BREADTH
from sipcore.transaction.key import MAGIC_COOKIE

DEFAULT_MAX_FORWARDS: Final = 70


def forwarded_request(
    request: Request,
    *,
    uri_text: str,
    record_route: str | None,
    path: tuple[str, ...] = (),
    own_realm: str = "",
) -> Request:
    """A copy with Request-URI, Max-Forwards, Record-Route and Route done; the Via is the sender's.

    It is as he wrote it, and says nothing of where we saw him: responses have our Via on top, and he
    gets his own back with `received` and `rport` filled in (RFC 3581 §4), as a privacy service
    does it with whole Vias (RFC 3323 §5.1).

    `record_route` is our Record-Route value or None; `path` are Route values to put in front of
    what is left of the Route. `own_realm`: credentials for it are meant for us, asked for or not.
    """
    copy = request.copy()
    if request.unstamped_via:
        # Where the sender is reached is for us to know, and nobody's business further on.
        copy.replace_top("Via", request.unstamped_via)
        copy.unstamped_via = ""
    copy.uri_text = _as_request_uri(uri_text)
    hops = request.max_forwards
    copy.set("Max-Forwards", str(DEFAULT_MAX_FORWARDS if hops is None else hops - 1))
    if own_realm and copy.has("proxy-authorization"):
        _remove_credentials(copy, own_realm)
    if record_route is not None:
        copy.push("Record-Route", record_route)
    for value in reversed(path):
        copy.push("Route", value)
    prepare_strict_router(copy)
    return copy


def _as_request_uri(target: str) -> str:
    """A target without what no Request-URI may have: method and headers (RFC 3261 §19.1.1).

    Taken out of the text: all else stays as it was written.
    """
    if "=" not in target and "?" not in target:
        return target  # where nothing is given a value, there is nothing to take out
    uri = parse_uri(target)
    if not uri.headers and "method" not in uri.params:
        return target
    userinfo, at, rest = target.rpartition("@")
    host, *params = rest.partition("?")[0].split(";")
    kept = [p for p in params if unescape(p.partition("=")[0]).lower() != "method"]
    return userinfo + at + ";".join([host, *kept])


def _remove_credentials(copy: Request, realm: str) -> None:
    """Take out the credentials that are meant for us, and nobody else's (RFC 3261 §22.3).

    Whoever got them could place calls with them, for as long as their nonce is good.
    """
    rows = copy.rows("proxy-authorization")
    copy.remove("Proxy-Authorization")
    for row in rows:
        if not _is_for(row, realm):
            copy.append("Proxy-Authorization", row)


def _is_for(credentials: str, realm: str) -> bool:
    if f'realm="{realm}"' in credentials:
        return True  # no quoted value can have that in it: its quotes would be escaped
    try:
        return parse_auth_params(credentials).get("realm") == realm
    except MalformedMessage:
        return False


def remove_assertions(message: Message) -> None:
    """Take out what says who somebody is in our name: we trust no peer to say so (RFC 3325 §5).

    And what he would like us to say, which is for nobody else to read (§6).
    """
    for key, name in _ASSERTIONS:
        if message.has(key):
            message.remove(name)


_ASSERTIONS: Final = (
    ("p-asserted-identity", "P-Asserted-Identity"),
    ("p-preferred-identity", "P-Preferred-Identity"),
    ("remote-party-id", "Remote-Party-ID"),
)


def next_hop_text(copy: Request) -> str:
    """The URI the copy is sent to: its first Route, or its Request-URI (RFC 3261 §16.6 step 7).

    The Request-URI, too, where a strict router's has been put there.
    """
    if copy.is_for_strict_router or copy.first("route") is None:
        return copy.uri_text
    return copy.routes[0].uri_text


def read_max_breadth(request: Request) -> int:
    """How many branches at a time the request may still have (RFC 5393 §5.3.3)."""
    text = request.first("max-breadth")
    return MAX_BREADTH if text is None else min(parse_uint(text, "max-breadth"), MAX_BREADTH)


def prepare_strict_router(copy: Request) -> None:
    """Where the first Route is no loose router, it becomes the Request-URI (§16.6 step 6)."""
    if copy.first("route") is None:
        return
    top = copy.routes[0].uri
    if "lr" in top.params:
        return
    target = copy.uri_text
    value = copy.pop("Route")
    copy.append("Route", f"<{target}>")
    if value is not None:
        copy.uri_text = parse_name_addr(value).uri_text
        copy.is_for_strict_router = True


def stateless_branch(request: Request) -> str:
    """A branch that is the same for the same request, however often it comes (RFC 3261 §16.11)."""
    branch = request.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch}.ack"  # the sender made it unique, and none of our own ends so
    text = f"{branch}|{request.from_tag}|{request.to_tag}|{request.call_id}|{request.cseq_number}"
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
    return f"{MAGIC_COOKIE}{digest}.ack"


def cancel_request(invite: Request, reasons: Sequence[str]) -> Request:
    """The CANCEL for a request that was sent with this INVITE (RFC 3261 §9.1)."""
    headers = [("Via", invite.values("via")[0])]
    headers += [("Route", value) for value in invite.rows("route")]
    headers += [
        ("Max-Forwards", "70"),
        ("From", invite.first("from") or ""),
        ("To", invite.first("to") or ""),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq_number} CANCEL"),
    ]
    headers += [("Reason", value) for value in reasons]
    return Request.build("CANCEL", invite.uri_text, headers)
