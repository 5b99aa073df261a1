"""What only this cluster can read: bytes sealed with its key, as text for a URI.

Everybody on the way of a call reads our Record-Route, the other side among them. AES-SIV (RFC 5297)
hides what a token says and finds any change of it. It needs no nonce: the same bytes sealed for the
same purpose are the same text, so a token may be made anew wherever it is needed.

Layout before base64url: version, synthetic IV (16), enciphered payload. In the version before the
payload was readable: version, payload, MAC (10). Calls and registrations from before an update still
bring such tokens; they are as hard to forge, and none is made any more.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_SEALED: Final = b"\x02"
_SIGNED: Final = b"\x01"
"""The version before."""
_IV_BYTES: Final = 16
_MAC_BYTES: Final = 10


class Seal:
    """Seals for one purpose; what was sealed with the previous key is opened too."""

    __slots__ = ("_ciphers", "_macs")

    def __init__(self, keys: Sequence[bytes], purpose: bytes) -> None:
        """`keys` are the cluster's, the one to seal with first; `purpose` has 16 bytes at most."""
        self._ciphers = [
            AESSIV(blake2b(key, digest_size=64, person=purpose, salt=b"sealed").digest())
            for key in keys
        ]
        signing = [blake2b(key, digest_size=32, person=purpose).digest() for key in keys]
        self._macs = [blake2b(key=key, digest_size=_MAC_BYTES) for key in signing]

    def close(self, payload: bytes, bound_to: bytes = b"") -> str:
        """The payload as text that opens only together with `bound_to`."""
        sealed = self._ciphers[0].encrypt(payload, [_SEALED + bound_to])
        text = b2a_base64(_SEALED + sealed, newline=False).decode("ascii")
        return text.rstrip("=").replace("+", "-").replace("/", "_")

    def open(self, text: str, bound_to: bytes = b"") -> bytes | None:
        """The payload, or None where nobody of us sealed it for this."""
        try:
            text = text.replace("-", "+").replace("_", "/")
            raw = a2b_base64(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        version = raw[:1]
        if version == _SIGNED:
            return self._open_signed(raw, bound_to)
        if version != _SEALED or len(raw) <= 1 + _IV_BYTES:
            return None
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(raw[1:], [_SEALED + bound_to])
            except InvalidTag:
                continue
        return None

    def _open_signed(self, raw: bytes, bound_to: bytes) -> bytes | None:
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        for fresh in self._macs:
            found = fresh.copy()
            found.update(payload + bound_to)
            if compare_digest(found.digest(), mac):
                return payload[1:]
        return None
