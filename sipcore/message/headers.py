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
    parse_params,
    print_params,
    quote,
    unquote,
)
from sipcore.message.limits import CACHED_LENGTH
from sipcore.message.uri import Uri, parse_host_port, parse_uri

_NOT_IN_PLAIN_TAG: Final = frozenset(';"< \t')


class NameAddr:
    """A From, To, Contact, Route … value: display name, URI, header parameters."""

    __slots__ = ("_params", "_tag", "_tail", "_uri", "display", "uri_text")

    def __init__(self, display: str, uri_text: str, tail: str = "") -> None:
        self.display = display
        """Without quotes; "" when there is none."""
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

    From and To are the same in all messages of a dialog: the result is shared, never change it.
    """
    try:
        return _cached_name_addr(text) if len(text) <= CACHED_LENGTH else _parse_name_addr(text)
    except MalformedMessage as error:
        raise MalformedMessage(error.reason, header=header) from None


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
        if display and not _WORDS.issuperset(display):
            _check_display(display)
        return _bracketed(display, text[bracket:])
    uri_text, _, tail = text.partition(";")
    uri_text = uri_text.strip(BLANKS)
    if not uri_text or "," in uri_text or "?" in uri_text:
        raise MalformedMessage("URI needs angle brackets")
    return NameAddr("", uri_text, f";{tail}" if tail else "")


_cached_name_addr: Final = lru_cache(maxsize=4096)(_parse_name_addr)
_WORDS = TOKEN_CHARS | {" ", "\t"}
_SEPARATORS: Final = frozenset('",;:\\<>@')


def _check_display(display: str) -> None:
    """A display name that is no token sequence: other scripts are let pass, separators are not."""
    if not _SEPARATORS.isdisjoint(display):
        raise MalformedMessage("display name needs quotes")


def _bracketed(display: str, rest: str) -> NameAddr:
    uri_text, bracket, tail = rest[1:].partition(">")
    if not bracket:
        raise MalformedMessage("'<' never closed")
    tail = tail.strip(BLANKS)
    if tail and tail[0] != ";":
        raise MalformedMessage("rubbish after '>'")
    return NameAddr(display, uri_text.strip(BLANKS), tail)


class Via:
    """One Via value."""

    __slots__ = ("branch", "host", "params", "port", "received", "rport", "sent_by", "transport")

    def __init__(
        self,
        transport: str,
        host: str,
        port: int | None,
        sent_by: str,
        params: dict[str, str | None],
    ) -> None:
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
        return f"SIP/2.0/{self.transport} {self.host}{port}{print_params(self.params)}"

    def __repr__(self) -> str:
        return f"<Via {self}>"


_DEFAULT_PORTS: Final = {"TLS": 5061, "TLS-SCTP": 5061, "WS": 80, "WSS": 443}
"""Where it is not 5060 (RFC 3261 §18.1.1, RFC 4168 §4, RFC 7118 §5)."""


def parse_via(text: str) -> Via:
    """`SIP/2.0/UDP host:port;params`, white space allowed around '/', ':' and ';' (§20.42)."""
    head, _, tail = text.partition(";")
    # All requests of a phone begin their Via alike.
    transport, host, port, sent_by = (
        _cached_head(head) if len(head) <= CACHED_LENGTH else _read_head(head)
    )
    params = _plain_params(tail)
    if params is None:
        params = parse_params(tail, "via")
    return Via(transport, host, port, sent_by, params)


def _read_head(head: str) -> tuple[str, str, int | None, str]:
    """Transport in upper case, host, port, and both with the default port filled in."""
    pieces = head.split("/", 2)
    if len(pieces) != 3:
        raise MalformedMessage("not protocol/version/transport", header="via")
    name, version = pieces[0].strip(BLANKS), pieces[1].strip(BLANKS)
    words = pieces[2].replace("\t", " ").strip(BLANKS).split(" ", 1)
    if ascii_upper(name) != "SIP" or len(words) != 2:
        raise MalformedMessage("not SIP/2.0/transport and a host", header="via")
    if version != "2.0":
        raise MalformedMessage("unknown version", header="via", status=505)
    transport = ascii_upper(words[0])
    host, port = parse_host_port(words[1].replace(" ", ""), "via")
    filled_in = _DEFAULT_PORTS.get(transport, 5060) if port is None else port
    return transport, host, port, f"{host}:{filled_in}"


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
