"""Typed header values: name-addr and Via (RFC 3261 §20)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message.grammar import (
    BLANKS,
    TOKEN_CHARS,
    ascii_upper,
    closing_quote,
    is_token,
    parse_params,
    print_params,
    quote,
    split_top,
    unquote,
)
from sipcore.message.limits import CACHED_LENGTH
from sipcore.message.uri import Uri, flaw_of_host, parse_host_port, parse_uri

_NOT_IN_PLAIN_TAG: Final = frozenset(';"< \t')


class NameAddr:
    """A From, To, Contact, Route … value: display name, URI, header parameters."""

    __slots__ = ("_params", "_tag", "_tail", "_uri", "display", "needs_quotes", "uri_text")

    def __init__(self, display: str, uri_text: str, tail: str = "") -> None:
        self.display = display
        """Without quotes; "" when there is none."""
        self.needs_quotes = False
        """Whether the display name came without the quotes that it must have."""
        self.uri_text = uri_text
        self._tail = tail
        self._uri: Uri | None = None
        self._params: dict[str, str | None] | None = None
        self._tag: str | None = None

    @property
    def uri(self) -> Uri:
        """The URI, parsed at first use."""
        if self._uri is None:
            self._uri = parse_uri(self.uri_text)
        return self._uri

    @property
    def params(self) -> dict[str, str | None]:
        """The header parameters, parsed at first use."""
        if self._params is None:
            self._params = parse_params(self._tail)
        return self._params

    @property
    def tag(self) -> str:
        """The tag parameter, "" when there is none."""
        tag = self._tag
        if tag is None:
            tail = self._tail
            if not tail:
                tag = ""
            elif tail[:5] == ";tag=" and _NOT_IN_PLAIN_TAG.isdisjoint(tail[5:]):
                tag = tail[5:]  # the only parameter, as nearly always
            else:
                tag = self.params.get("tag") or ""
            self._tag = tag
        return tag

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri_text}>{self._tail}"

    def __repr__(self) -> str:
        return f"<NameAddr {self}>"


def parse_name_addr(text: str, header: str = "name-addr") -> NameAddr:
    """`[display] <uri>;params` or `uri;params` (then all params belong to the header, §20).

    From and To are the same in all messages of a dialog: the result is shared, never change it. In
    those two alone a display name may lack its quotes (`NameAddr.needs_quotes`).
    """
    try:
        found = _cached_name_addr(text) if len(text) <= CACHED_LENGTH else _parse_name_addr(text)
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, header=header) from None
    if found.needs_quotes and header not in ("from", "to"):
        raise MalformedMessage("display name needs quotes", header=header)
    return found


def _parse_name_addr(text: str) -> NameAddr:
    text = text.strip(BLANKS)
    if text[:1] == '"':
        close = text.find('"', 1)
        if "\\" in text[:close]:
            close = closing_quote(text, 0)
        if close < 0:
            raise MalformedMessage("quote never closed")
        rest = text[close + 1 :].lstrip(BLANKS)
        if rest[:1] != "<":
            raise MalformedMessage("no '<' after a display name")
        return _bracketed(unquote(text[: close + 1]), rest)
    bracket = text.find("<")
    if bracket >= 0:
        display = text[:bracket].strip(BLANKS)
        if not display or _WORDS.issuperset(display):
            return _bracketed(display, text[bracket:])
        if not _is_inside_quotes(text):
            return _odd_display(display, text[bracket:])
    uri_text, _, tail = text.partition(";")
    uri_text = uri_text.strip(BLANKS)
    if not uri_text or "," in uri_text or "?" in uri_text:
        raise MalformedMessage("URI needs angle brackets")
    _check_tail(tail)
    return NameAddr("", uri_text, f";{tail}" if tail else "")


_cached_name_addr: Final = lru_cache(maxsize=4096)(_parse_name_addr)
_WORDS = TOKEN_CHARS | {" ", "\t"}
_NEVER_PLAIN: Final = frozenset('";\\<>')
_PLAIN_BY_MISTAKE: Final = frozenset(",:@")


def _odd_display(display: str, rest: str) -> NameAddr:
    """A display name that is no token sequence: other scripts are let pass, few separators are.

    Where there is but one `<…>` it is plain what the address is, if what stands before it is none.
    """
    plain = _PLAIN_BY_MISTAKE.isdisjoint(display)
    if not _NEVER_PLAIN.isdisjoint(display) or not (plain or rest.count("<") == 1):
        raise MalformedMessage("display name needs quotes")
    found = _bracketed(display, rest)
    found.needs_quotes = not plain
    return found


def _is_inside_quotes(text: str) -> bool:
    """Whether all brackets are in quoted parameters of a URI that stands without brackets itself."""
    semicolon, quote_at = text.find(";"), text.find('"')
    if not 0 < semicolon < quote_at < text.find("<"):
        return False
    while quote_at >= 0:
        close = closing_quote(text, quote_at)
        if close < 0:
            return False
        quote_at = text.find('"', close + 1)
        if "<" in text[close : quote_at if quote_at >= 0 else len(text)]:
            return False
    return True


def _check_tail(tail: str) -> None:
    """Refuse parameters that another value may be read out of: one is all that is meant here.

    Some take the last of several for who is calling.
    """
    is_odd = "," in tail or "<" in tail
    if is_odd and ('"' not in tail or len(split_top(tail, ",")) > 1 or "<" in _unquoted(tail)):
        raise MalformedMessage("rubbish among the parameters")


def _unquoted(text: str) -> str:
    """What stands outside of quotes."""
    out, at = [], 0
    while (start := text.find('"', at)) >= 0:
        out.append(text[at:start])
        at = closing_quote(text, start) + 1
        if not at:
            return "".join(out)
    return "".join([*out, text[at:]])


def _bracketed(display: str, rest: str) -> NameAddr:
    uri_text, bracket, tail = rest[1:].partition(">")
    if not bracket:
        raise MalformedMessage("'<' never closed")
    tail = tail.strip(BLANKS)
    if tail and tail[0] != ";":
        raise MalformedMessage("rubbish after '>'")
    _check_tail(tail)
    return NameAddr(display, uri_text.strip(BLANKS), tail)


class Via:
    """One Via value."""

    __slots__ = (
        "branch",
        "flaw",
        "host",
        "params",
        "port",
        "protocol",
        "received",
        "rport",
        "sent_by",
        "transport",
    )

    def __init__(
        self,
        transport: str,
        host: str,
        port: int | None,
        sent_by: str,
        params: dict[str, str | None],
    ) -> None:
        self.protocol = "SIP"
        """As written where it is another one."""
        self.flaw = ""
        """What is against the grammar though it could be read (see `strict`); "" for nothing."""
        self.transport = transport
        """Upper case."""
        self.host = host
        self.port = port
        self.sent_by = sent_by
        """`host:port` with the default port filled in, lower case, for matching."""
        self.params = params
        self.branch = params.get("branch") or ""
        received = params.get("received")
        self.received = received.strip("[]") if received else None
        self.rport = (params["rport"] or "") if "rport" in params else None
        """None without rport, "" when it came without a value (RFC 3581 §3)."""

    def stamp(self, received: str, rport: str | None = None) -> None:
        """Note where the message really came from."""
        self.params["received"] = self.received = received
        if rport is not None:
            self.params["rport"] = self.rport = rport

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        head = f"{self.protocol}/2.0/{self.transport} {self.host}{port}"
        return f"{head}{print_params(self.params)}"

    def __repr__(self) -> str:
        return f"<Via {self}>"


_DEFAULT_PORTS: Final = {"TLS": 5061, "TLS-SCTP": 5061, "WS": 80, "WSS": 443}
"""Where it is not 5060 (RFC 3261 §18.1.1, RFC 4168 §4, RFC 7118 §5)."""


def parse_via(text: str) -> Via:
    """`SIP/2.0/UDP host:port;params`, white space allowed around '/', ':' and ';' (§20.42)."""
    head, _, tail = text.partition(";")
    # All requests of a phone begin their Via alike.
    transport, host, port, sent_by, odd = (
        _cached_head(head) if len(head) <= CACHED_LENGTH else _read_head(head)
    )
    params = _plain_params(tail)
    if params is None:
        params = parse_params(tail, "via")
    via = Via(transport, host, port, sent_by, params)
    if odd is not None:
        via.protocol, via.flaw = odd
    return via


_Odd = tuple[str, str]
"""Protocol and flaw of a Via that is not as nearly all are."""


def _read_head(head: str) -> tuple[str, str, int | None, str, _Odd | None]:
    """Transport in upper case, host, port, and both with the default port filled in."""
    pieces = head.split("/", 2)
    if len(pieces) != 3:
        raise MalformedMessage("not protocol/version/transport", header="via")
    name, version = pieces[0].strip(BLANKS), pieces[1].strip(BLANKS)
    words = pieces[2].replace("\t", " ").strip(BLANKS).split(" ", 1)
    if not is_token(name) or len(words) != 2:
        raise MalformedMessage("not SIP/2.0/transport and a host", header="via")
    if version != "2.0":
        raise MalformedMessage("unknown version", header="via", status=505)
    transport = ascii_upper(words[0])
    protocol = "SIP" if ascii_upper(name) == "SIP" else name
    host, port, flaw = _read_sent_by(words[1])
    filled_in = _DEFAULT_PORTS.get(transport, 5060) if port is None else port
    odd = (protocol, flaw) if flaw or protocol != "SIP" else None
    return transport, host, port, f"{host}:{filled_in}", odd


def _read_sent_by(text: str) -> tuple[str, int | None, str]:
    """Host, port and flaw of a sent-by. A host with a blank inside is no other host without it."""
    if " " not in text:
        host, port = parse_host_port(text, "via")
        return host, port, flaw_of_host(host)
    start = text.find("]") + 1
    name, colon, after = text[start:].partition(":")
    name = text[:start] + name
    host, port = parse_host_port(f"{name}{colon}{after}".replace(" ", ""), "via")
    if " " not in name.strip(BLANKS) and " " not in after.strip(BLANKS):
        return host, port, flaw_of_host(host)
    if " " in name.strip(BLANKS):
        host = name.strip(BLANKS).lower()
    return host, port, "blank inside sent-by"


_cached_head: Final = lru_cache(maxsize=4096)(_read_head)


def _plain_params(tail: str) -> dict[str, str | None] | None:
    """Parameters without blanks or quotes, as nearly all are; None for any others."""
    params: dict[str, str | None] = {}
    if not tail:
        return params
    if '"' in tail or " " in tail or "\t" in tail or "<" in tail:
        return None
    for piece in tail.split(";"):
        name, equals, value = piece.partition("=")
        name = name.lower()
        if not name or name in params:
            return None
        params[name] = value if equals else None
    return params
