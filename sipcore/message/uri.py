"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966), parsed once and compared by the rules."""

from __future__ import annotations

from functools import lru_cache
from string import ascii_letters, digits
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message.grammar import (
    BLANKS,
    ascii_lower,
    ascii_upper,
    unescape,
    uniform_escapes,
)
from sipcore.message.hosts import same_host
from sipcore.message.limits import CACHED_LENGTH

_SECURE: Final = {"TCP": "TLS", "TLS": "TLS", "WS": "WSS", "WSS": "WSS"}
_MUST_MATCH: Final = ("transport", "user", "ttl", "method", "maddr")
"""Parameters that differ when only one URI has them (RFC 3261 §19.1.4)."""
_SCHEME_CHARS: Final = frozenset(ascii_letters + digits + "+-.")
_FORBIDDEN: Final = frozenset(' <>"') | frozenset(map(chr, (*range(32), 127)))


class Uri:
    """A parsed URI. `user` and `password` are as written; `params` has lower-case names."""

    __slots__ = ("_text", "flaw", "headers", "host", "params", "password", "port", "scheme", "user")

    def __init__(
        self,
        scheme: str,
        user: str = "",
        host: str = "",
        port: int | None = None,
        params: dict[str, str | None] | None = None,
        *,
        password: str | None = None,
        headers: str = "",
        text: str = "",
    ) -> None:
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        """Lower case; an IPv6 literal keeps its brackets. Empty for schemes without a host."""
        self.port = port
        self.params: dict[str, str | None] = {} if params is None else params
        self.headers = headers
        self.flaw = ""
        """What is against the grammar though it could be read (see `strict`); "" for nothing."""
        self._text = text

    @property
    def text(self) -> str:
        """The URI as it came, or put together from its parts."""
        return self._text or self._build()

    @property
    def user_decoded(self) -> str:
        """The user part with %HH decoded once."""
        return unescape(self.user)

    @property
    def transport(self) -> str | None:
        """The transport parameter in upper case, None without one.

        Of a sips URI it says what TLS runs over: TCP where it says nothing (RFC 5630 §3.1.4). What
        else there may be is no transport of ours, and is never taken for an open one.
        """
        value = self.params.get("transport")
        if self.scheme == "sips":
            return _SECURE.get(ascii_upper(value), "DTLS") if value else "TLS"
        return ascii_upper(value) if value else None

    @property
    def is_tel(self) -> bool:
        return self.scheme == "tel"

    def _build(self) -> str:
        if self.scheme not in ("sip", "sips"):
            return f"{self.scheme}:{self.user}"
        user = ""
        if self.user or self.password is not None:
            password = "" if self.password is None else f":{self.password}"
            user = f"{self.user}{password}@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self.params.items()
        )
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{params}{headers}"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Uri {self.text}>"

    def equals(self, other: Uri) -> bool:
        """Equality by RFC 3261 §19.1.4 and RFC 5954 §4.2; tel by RFC 3966 §4, other schemes as text."""
        if self.scheme != other.scheme:
            return False
        if self.scheme == "tel":
            return _number(self.user) == _number(other.user) and _same_tel_params(self, other)
        if self.scheme not in ("sip", "sips"):
            return _opaque(self) == _opaque(other)
        return (
            same_host(self.host, other.host)
            and self.port == other.port
            and uniform_escapes(self.user) == uniform_escapes(other.user)
            and _same_password(self.password, other.password)
            and _params_equal(self.params, other.params)
            and _headers(self.headers) == _headers(other.headers)
        )


def is_sips(uri_text: str) -> bool:
    """Whether this URI may be sent to over TLS alone, told without parsing it."""
    return uri_text[:5].lower() == "sips:"


def same_namespace(text: str) -> str:
    """A URN, maybe in `<>`, with "urn" and its namespace in lower case: both compare so (RFC 8141 §3.1).

    What follows is as it was: its namespace says how that compares. Other text comes back as it is.
    """
    if text.startswith("<urn:uuid:"):
        return text  # as nearly always
    scheme, namespace, rest = (*text.split(":", 2), "", "")[:3]
    if scheme.lower() not in ("urn", "<urn") or not rest:
        return text
    return f"{ascii_lower(scheme)}:{ascii_lower(namespace)}:{rest}"


def _opaque(uri: Uri) -> str:
    text = uri.text.partition(":")[2]
    return same_namespace(f"urn:{text}") if uri.scheme == "urn" else text


_VISUAL_SEPARATORS: Final = str.maketrans("", "", "-.()")


def _number(text: str) -> str:
    """A telephone number without what only helps the eye (RFC 3966 §5.1.1)."""
    return text.translate(_VISUAL_SEPARATORS).lower()


def _same_tel_params(one: Uri, two: Uri) -> bool:
    """All parameters on both sides, in any order; those that are numbers compare as numbers."""
    if one.params.keys() != two.params.keys():
        return False
    return all(_tel_value(n, one.params[n]) == _tel_value(n, two.params[n]) for n in one.params)


def _tel_value(name: str, value: str | None) -> str:
    text = value or ""
    return _number(text) if name == "ext" or text[:1] == "+" else text.lower()


def _same_password(one: str | None, two: str | None) -> bool:
    """A URI without a password equals none that has one, be it empty."""
    if one is None or two is None:
        return one is two
    return uniform_escapes(one) == uniform_escapes(two)


def _params_equal(one: dict[str, str | None], two: dict[str, str | None]) -> bool:
    for name in one.keys() | two.keys():
        if name in one and name in two:
            if _param(one[name]) != _param(two[name]):
                return False
        elif name in _MUST_MATCH:
            return False
    return True


def _param(value: str | None) -> str:
    return uniform_escapes(value).lower() if value else ""


def _headers(text: str) -> list[tuple[str, str]]:
    pairs = []
    for piece in text.split("&") if text else ():
        name, _, value = piece.partition("=")
        pairs.append((uniform_escapes(name).lower(), uniform_escapes(value)))
    return sorted(pairs)


def parse_uri(text: str) -> Uri:
    """Parse a URI. Unknown schemes give a Uri whose `user` is all that follows the colon.

    The same few URIs stand in all messages of a call: the result is shared, never change it.
    """
    return _cached(text) if len(text) <= CACHED_LENGTH else _parse(text)


def _parse(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if not colon or not scheme or not scheme[0].isalpha():
        raise MalformedMessage("no URI scheme", header="uri")
    if not _FORBIDDEN.isdisjoint(text):
        raise MalformedMessage("space, quote or bracket in a URI", header="uri")
    scheme = scheme.lower()
    if scheme not in ("sip", "sips"):
        return _other_scheme(scheme, rest, text)
    userinfo, at, hostpart = rest.rpartition("@")
    user, password = userinfo, None
    if at:
        user, found, secret = userinfo.partition(":")
        if found:
            password = secret
        if not user:
            raise MalformedMessage("empty user part", header="uri")
        if "@" in userinfo:  # which of them ends the user part, the next hop may see otherwise
            raise MalformedMessage("more than one '@'", header="uri")
    headers = flaw = ""
    if "?" in hostpart:
        hostpart, _, headers = hostpart.partition("?")
        if not all("=" in header for header in headers.split("&")):
            flaw = "URI header without '='"
    params: dict[str, str | None] = {}
    if ";" in hostpart:
        hostpart, _, tail = hostpart.partition(";")
        params = _uri_params(tail)
    host, port = parse_host_port(hostpart, "uri")
    uri = Uri(scheme, user, host, port, params, password=password, headers=headers, text=text)
    uri.flaw = flaw or flaw_of_host(host)
    return uri


_cached: Final = lru_cache(maxsize=4096)(_parse)


def _other_scheme(scheme: str, rest: str, text: str) -> Uri:
    user, semicolon, tail = rest.partition(";")
    params = _uri_params(tail) if semicolon and scheme == "tel" else None
    uri = Uri(scheme, user if scheme == "tel" else rest, params=params, text=text)
    if not _SCHEME_CHARS.issuperset(scheme):
        uri.flaw = "URI scheme of other characters"
    return uri


def _uri_params(text: str) -> dict[str, str | None]:
    params: dict[str, str | None] = {}
    for piece in text.split(";"):
        name, equals, value = piece.partition("=")
        if not name:
            continue
        name = unescape(name).lower() if "%" in name else name.lower()
        if name not in params:
            params[name] = value if equals else None
    return params


def parse_host_port(text: str, header: str) -> tuple[str, int | None]:
    """`host[:port]`; the host in lower case, IPv6 literals in brackets."""
    if text[:1] == "[":
        host, bracket, rest = text.partition("]")
        if not bracket or not _looks_like_ipv6(host[1:]):
            raise MalformedMessage("bad IPv6 literal", header=header)
        host += "]"
        if rest and rest[0] != ":":
            raise MalformedMessage("rubbish after an IPv6 literal", header=header)
        port_text = rest[1:] if rest else None
    else:
        host, colon, after = text.partition(":")
        port_text = after if colon else None
    host = host.strip(BLANKS)
    # As it was written: in lower case the sign for kelvin would be a k.
    if not host or not (host[0] == "[" or _HOST_CHARS.issuperset(host)):
        raise MalformedMessage("no host", header=header)
    host = host.lower().removesuffix(".")  # of a name, the dot of the root says nothing
    if not host:
        raise MalformedMessage("no host", header=header)
    if port_text is None:
        return host, None
    port_text = port_text.strip(BLANKS)
    if not (port_text.isascii() and port_text.isdigit()):
        raise MalformedMessage("bad port", header=header)
    if len(port_text) > 5:
        port_text = port_text.lstrip("0") or "0"
    port = int(port_text) if len(port_text) <= 5 else 65_536
    if port > 65_535:
        raise MalformedMessage("bad port", header=header)
    return host, port


_HOST_CHARS: Final = frozenset(ascii_letters + digits + ".-_")
"""No grammar has the underscore, but names of machines in use do."""
_IPV6_CHARS: Final = frozenset("0123456789abcdefABCDEF:.%")


def _looks_like_ipv6(text: str) -> bool:
    return ":" in text and _IPV6_CHARS.issuperset(text)


def flaw_of_host(host: str) -> str:
    """What is wrong with a host that `parse_host_port` could read: an IPv6 literal of nine groups."""
    if host[:1] != "[":
        return ""
    groups = [group for group in host[1:-1].partition("%")[0].split(":") if group]
    count = len(groups) + sum("." in group for group in groups) + ("::" in host)
    return "IPv6 literal of more than eight groups" if count > 8 else ""
