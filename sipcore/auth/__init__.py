"""Digest authentication: nonces, challenges and verification (RFC 3261 §22, RFC 7616, RFC 8760)."""

from sipcore.auth.digest import Authenticator, Verdict, VerdictKind
from sipcore.auth.limits import MAX_DEVICES
from sipcore.auth.nonces import CountState, Nonces, NonceState

__all__ = [
    "MAX_DEVICES",
    "Authenticator",
    "CountState",
    "NonceState",
    "Nonces",
    "Verdict",
    "VerdictKind",
]
