"""Digest challenge and verification (RFC 3261 §22.4, RFC 7616, RFC 8760).

Offered are MD5 and SHA-256 as the domain says, with qop "auth"; userhash and the -sess variants are
not. The username is one for all devices of an account: the HA1 that matches tells which device
it is. Every verification computes the same number of hashes, whether the user is unknown, has no
device or has ten, and compares all of them, so that its time says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from sipcore.auth.credentials import RESPONSE_LENGTHS, Credentials, read_credentials
from sipcore.auth.limits import MAX_DEVICES
from sipcore.auth.nonces import CountState, Nonces, NonceState
from sipcore.directory import Account, Device
from sipcore.errors import MalformedMessage
from sipcore.message import Request, quote

try:
    # CPython's own takes half the time of OpenSSL's for texts as short as these.
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:
    from hashlib import md5

_NO_DEVICE: Final = {name: b"-" * length for name, length in RESPONSE_LENGTHS.items()}
_FRESH: Final = NonceState.FRESH

Lookup = Callable[[str], Account | None]
"""Gives the account of a SIP username; None for unknown (and whoever may not authenticate)."""


class VerdictKind(IntEnum):
    """What the credentials of a request are worth."""

    OK = 0
    MISSING = 1
    """None for our realm, or none for an offered algorithm: challenge."""
    STALE = 2
    """The secret is right, the nonce is not fresh here: challenge with stale=true, no failure."""
    WRONG = 3
    """Unknown user or wrong secret: a failure; challenge."""
    REPLAYED = 4
    """Right, but this nonce count was used before: a failure; challenge."""
    MALFORMED = 5
    """A required parameter is missing or improper: answer 400, or challenge (RFC 7616 §3.4)."""


class Verdict:
    """The result of a verification. `account` and `device` only when `kind` is OK."""

    __slots__ = ("account", "device", "kind", "sent", "username")

    def __init__(
        self,
        kind: VerdictKind,
        username: str = "",
        account: Account | None = None,
        device: Device | None = None,
        sent: Credentials | None = None,
    ) -> None:
        self.kind = kind
        self.username = username
        """As claimed; for everything but OK it is only a claim."""
        self.account = account
        self.device = device
        self.sent = sent
        """The credentials that proved right."""

    def authentication_info(self) -> str:
        """The Authentication-Info of a 2xx without a body, "" where there is none (RFC 7616 §3.5).

        It proves to the phone that we know its secret too. Clients of RFC 2069 get none.
        """
        sent, device = self.sent, self.device
        if sent is None or device is None or not sent.qop:
            return ""
        is_md5 = sent.algorithm == "MD5"
        digest = md5 if is_md5 else sha256
        a2 = f":{sent.uri}".encode("utf-8", "surrogateescape")
        if sent.qop == "auth-int":
            a2 += b":" + digest(b"").hexdigest().encode()
        counted = f"{sent.nonce}:{sent.nc_text}:{sent.cnonce}:{sent.qop}:"
        tail = f":{counted}{digest(a2).hexdigest()}".encode("utf-8", "surrogateescape")
        key = device.ha1_md5 if is_md5 else device.ha1_sha256
        return (
            f'qop={sent.qop}, rspauth="{digest(key + tail).hexdigest()}", '
            f"cnonce={quote(sent.cnonce)}, nc={sent.nc_text}"
        )


class Authenticator:
    """Challenges and verifies for one worker.

    `allow_legacy` accepts credentials without qop (RFC 2069 clients, RFC 8760 §2.6(8)); having no
    count, they use a nonce up, and its second use is stale.
    """

    __slots__ = ("_allow_legacy", "_nonces")

    def __init__(self, nonces: Nonces, *, allow_legacy: bool = True) -> None:
        self._nonces = nonces
        self._allow_legacy = allow_legacy

    def challenge(
        self,
        proxy: bool,
        realm: str,
        algorithms: Sequence[str],
        bound_to: str,
        at: float,
        stale: bool = False,
    ) -> list[tuple[str, str]]:
        """Header rows for a 407 (`proxy`) or 401, one per algorithm, the preferred one first."""
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        head = f'Digest realm={quote(realm)}, nonce="{self._nonces.issue(bound_to, at)}"'
        tail = ', qop="auth", stale=true' if stale else ', qop="auth"'
        return [(name, f"{head}, algorithm={algorithm}{tail}") for algorithm in algorithms]

    def may_accept(self, row: str) -> bool:
        """Whether these credentials may be OK here; False: their nonce is none of this worker's."""
        return self._nonces.may_be_in(row)

    def verify(
        self,
        request: Request,
        proxy: bool,
        lookup: Lookup,
        realm: str,
        bound_to: str,
        at: float,
        *,
        algorithms: Sequence[str],
    ) -> Verdict:
        """Judge the credentials of a request for our realm.

        Credentials for an algorithm that is not offered count as missing, so a weaker one cannot
        be forced upon us. The uri parameter is hashed as sent: proxies on the way may have
        rewritten the Request-URI (RFC 3261 §22.4 item 6).
        """
        try:
            sent = read_credentials(request, proxy, realm, algorithms)
        except MalformedMessage:
            return Verdict(VerdictKind.MALFORMED)
        if sent is None:
            return Verdict(VerdictKind.MISSING)
        if not sent.qop and not self._allow_legacy:
            return Verdict(VerdictKind.MALFORMED, sent.username)
        account = lookup(sent.username)
        state = self._nonces.check(sent.nonce, bound_to, at)
        device = _matching_device(sent, request, account)
        if account is None or device is None:
            return Verdict(VerdictKind.WRONG, sent.username)
        if state is not _FRESH:
            return Verdict(VerdictKind.STALE, sent.username)
        kind = self._count(sent, at)
        if kind is not VerdictKind.OK:
            return Verdict(kind, sent.username)
        return Verdict(kind, sent.username, account, device, sent)

    def minted_at(self, verdict: Verdict) -> float:
        """When the nonce of right credentials was minted (UTC, whole seconds, rounded down)."""
        return self._nonces.minted_at(verdict.sent.nonce) if verdict.sent is not None else 0.0

    def _count(self, sent: Credentials, at: float) -> VerdictKind:
        if not sent.qop:
            once = self._nonces.use_once(sent.nonce, at)
            return VerdictKind.OK if once else VerdictKind.STALE
        counted = self._nonces.count(sent.nonce, sent.nc, at)
        if counted is CountState.NEW:
            return VerdictKind.OK
        return VerdictKind.REPLAYED if counted is CountState.SEEN else VerdictKind.STALE


def _matching_device(sent: Credentials, request: Request, account: Account | None) -> Device | None:
    """The device whose HA1 gives this response.

    Where there is none, `MAX_DEVICES` hashes and one were made, come what may: an unknown user
    takes as long as a wrong secret, with one device or ten.
    """
    devices = account.devices[:MAX_DEVICES] if account is not None else ()
    is_md5 = sent.algorithm == "MD5"
    digest = md5 if is_md5 else sha256
    a2 = f"{request.method}:{sent.uri}".encode("utf-8", "surrogateescape")
    if sent.qop == "auth-int":
        a2 += b":" + digest(request.body).hexdigest().encode()
    ha2 = digest(a2).hexdigest()
    if sent.qop:
        text = f":{sent.nonce}:{sent.nc_text}:{sent.cnonce}:{sent.qop}:{ha2}"
    else:
        text = f":{sent.nonce}:{ha2}"
    tail = text.encode("utf-8", "surrogateescape")
    for device in devices:
        key = device.ha1_md5 if is_md5 else device.ha1_sha256
        if compare_digest(digest(key + tail).hexdigest(), sent.response):
            return device
    filling = _NO_DEVICE[sent.algorithm] + tail
    for _ in range(MAX_DEVICES - len(devices)):
        # What it gives is no secret: whoever computes with it finds no device behind it.
        compare_digest(digest(filling).hexdigest(), sent.response)
    return None
