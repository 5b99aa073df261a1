"""SIP messages as the scripted user agent sees them: a reader and writer of its own.

It shares nothing with the code under test, so that a mistake in one is not hidden by the other.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable

Header = tuple[str, str]
_LONG = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
_SPLIT = re.compile(r',(?=(?:[^"<>]|"[^"]*"|<[^>]*>)*$)')
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class Wire:
    """One message: start line, headers in order, body."""

    def __init__(self, start: str, headers: Iterable[Header], body: bytes = b"") -> None:
        self.start = start
        self.headers = list(headers)
        self.body = body

    def __repr__(self) -> str:
        return f"<{self.start} | {self.get('CSeq')}>"

    @property
    def is_request(self) -> bool:
        return not self.start.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        return 0 if self.is_request else int(self.start.split(" ", 2)[1])

    @property
    def method(self) -> str:
        """The method of a request, "" for a response."""
        return self.start.split(" ", 1)[0] if self.is_request else ""

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1]

    @property
    def cseq(self) -> tuple[int, str]:
        number, method = self.get("CSeq").split()
        return int(number), method

    def rows(self, name: str) -> list[str]:
        """All rows of one header."""
        wanted = name.lower()
        return [
            value for key, value in self.headers if _LONG.get(key.lower(), key.lower()) == wanted
        ]

    def get(self, name: str) -> str:
        """The first row of a header, "" when there is none."""
        rows = self.rows(name)
        return rows[0] if rows else ""

    def values(self, name: str) -> list[str]:
        """All values of a list header, rows and commas taken apart."""
        return [part.strip() for row in self.rows(name) for part in _SPLIT.split(row)]

    def to_bytes(self) -> bytes:
        rows = [*self.headers, ("Content-Length", str(len(self.body)))]
        head = "\r\n".join([self.start, *(f"{key}: {value}" for key, value in rows)])
        return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


def read(data: bytes) -> Wire:
    """One whole message."""
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    headers = []
    for line in lines:
        key, _, value = line.partition(":")
        headers.append((key.strip(), value.strip()))
    return Wire(start, headers, body)


def read_stream(data: bytes) -> tuple[list[Wire], bytes]:
    """The whole messages at the front of a stream, and what is left."""
    found: list[Wire] = []
    while True:
        data = data.lstrip(b"\r\n")
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return found, data
        length = int(read(data[: end + 4]).get("Content-Length") or 0)
        if len(data) < end + 4 + length:
            return found, data
        found.append(read(data[: end + 4 + length]))
        data = data[end + 4 + length :]


def tag_of(value: str) -> str:
    """The tag of a From or To value."""
    found = re.search(r";tag=([^;>\s]+)", value)
    return found[1] if found else ""


def uri_of(value: str) -> str:
    """The URI of a name-addr."""
    found = re.search(r"<([^>]*)>", value)
    return found[1] if found else value.split(";", 1)[0].strip()


def host_port_of(uri: str) -> tuple[str, int]:
    """Host and port of a SIP URI with an address in it."""
    found = re.match(r"sips?:(?:[^@]*@)?(\[[^\]]+\]|[^:;>]+)(?::(\d+))?", uri)
    assert found is not None, uri
    return found[1].strip("[]"), int(found[2] or 5060)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def challenge_of(response: Wire, algorithm: str) -> dict[str, str] | None:
    """The parameters of the challenge for one algorithm, None when it is not offered."""
    for name in ("WWW-Authenticate", "Proxy-Authenticate"):
        for row in response.rows(name):
            found = {m[1].lower(): m[2] or m[3] for m in _PARAMETER.finditer(row)}
            if found.get("algorithm", "MD5").upper() == algorithm.upper():
                return found
    return None


def digest(
    challenge: dict[str, str],
    method: str,
    uri: str,
    username: str,
    secret: str,
    nc: int = 1,
) -> str:
    """An Authorization value (RFC 7616 §3.4)."""
    algorithm = challenge.get("algorithm", "MD5")
    function = {"MD5": "md5", "SHA-256": "sha256"}[algorithm.upper()]

    def h(text: str) -> str:
        return hashlib.new(function, text.encode()).hexdigest()

    cnonce = secrets.token_hex(8)
    ha1 = h(f"{username}:{challenge['realm']}:{secret}")
    ha2 = h(f"{method}:{uri}")
    response = h(f"{ha1}:{challenge['nonce']}:{nc:08x}:{cnonce}:auth:{ha2}")
    return (
        f'Digest username="{username}", realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", '
        f'uri="{uri}", response="{response}", algorithm={algorithm}, qop=auth, nc={nc:08x}, '
        f'cnonce="{cnonce}"'
    )
