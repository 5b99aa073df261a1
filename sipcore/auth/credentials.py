"""The Authorization row that is meant for us, read and checked (RFC 7616 §3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message import BLANKS, Request, parse_auth_params
from sipcore.message.grammar import ascii_upper

RESPONSE_LENGTHS: Final = {"MD5": 32, "SHA-256": 64}
"""Hex digits of a response, by the algorithms that can be offered."""


class Credentials:
    """The parameters of one Authorization row that a response is computed from."""

    __slots__ = (
        "algorithm",
        "cnonce",
        "nc",
        "nc_text",
        "nonce",
        "qop",
        "response",
        "uri",
        "username",
    )

    def __init__(
        self,
        algorithm: str,
        username: str,
        nonce: str,
        uri: str,
        response: str,
        qop: str,
        nc_text: str,
        nc: int,
        cnonce: str,
    ) -> None:
        self.algorithm = algorithm
        self.username = username
        self.nonce = nonce
        self.uri = uri
        self.response = response
        """Hex digits in lower case."""
        self.qop = qop
        """"auth", "auth-int", or empty for RFC 2069 credentials."""
        self.nc_text = nc_text
        self.nc = nc
        self.cnonce = cnonce


def read_credentials(
    request: Request, proxy: bool, realm: str, algorithms: Sequence[str]
) -> Credentials | None:
    """The first credentials for our realm and an offered algorithm, or None.

    Rows of other schemes and realms are none of our business (RFC 3261 §22.3).
    `MalformedMessage` when a parameter is missing or improper.
    """
    key = "proxy-authorization" if proxy else "authorization"
    if key not in request.keys:
        return None
    for row in request.rows(key):
        if row[:6].lower() != "digest" or row[6:7] not in BLANKS:
            continue
        params = _read_params(row)
        if params.get("realm") != realm:
            continue
        algorithm = ascii_upper(params.get("algorithm", "MD5"))
        if algorithm in algorithms and algorithm in RESPONSE_LENGTHS and params.get("response"):
            return _checked(params, algorithm)
    return None


def _read_params(row: str) -> Mapping[str, str]:
    """The parameters of a Digest row; quickly where no quoted value has a comma or backslash."""
    if "\\" in row:
        return parse_auth_params(row)
    params: dict[str, str] = {}
    for piece in row[7:].split(","):
        name, _, value = piece.partition("=")
        value = value.strip(BLANKS)
        if value[:1] == '"':
            if len(value) < 2 or value[-1] != '"':
                return parse_auth_params(row)
            value = value[1:-1]
        params.setdefault(_NAMES.get(name) or name.strip(BLANKS).lower(), value)
    return params


_NAMES: Final = {
    blank + name: name
    for name in (
        *("username", "realm", "nonce", "uri", "response"),
        *("algorithm", "cnonce", "nc", "opaque", "qop"),
    )
    for blank in ("", " ")
}
"""As nearly everybody writes them."""


def _checked(params: Mapping[str, str], algorithm: str) -> Credentials:
    """These parameters as credentials; `MalformedMessage` when one is missing or improper."""
    try:
        username, nonce, uri = params["username"], params["nonce"], params["uri"]
        response = params["response"].lower()
        qop = params.get("qop", "").lower()
        nc_text = cnonce = ""
        nc = 0
        if qop:
            nc_text, cnonce = params["nc"], params["cnonce"]
            nc = int(nc_text, 16)
    except (KeyError, ValueError):
        raise MalformedMessage("incomplete digest credentials", header="Authorization") from None
    proper = (
        username
        and uri
        and len(response) == RESPONSE_LENGTHS[algorithm]
        and response.isascii()
        and (
            not qop
            or (
                qop in ("auth", "auth-int")
                and nc > 0
                and (f"{nc:08x}" == nc_text.lower() or _is_short_count(nc_text, nc))
            )
        )
    )
    if not proper:
        raise MalformedMessage("improper digest credentials", header="Authorization")
    return Credentials(algorithm, username, nonce, uri, response, qop, nc_text, nc, cnonce)


def _is_short_count(text: str, number: int) -> bool:
    """Whether a nonce count has fewer hex digits than the eight of RFC 7616 §3.4."""
    return len(text) < 8 and f"{number:x}" == text.lower().lstrip("0")
