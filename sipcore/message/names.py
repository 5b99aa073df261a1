"""Header names: compact forms, spelling, and which headers are comma-separated lists."""

from __future__ import annotations

from sys import intern
from typing import Final

from sipcore.message.grammar import BLANKS, is_token
from sipcore.message.limits import MAX_REMEMBERED

COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

UNSPLIT: Final = frozenset(
    {"www-authenticate", "authorization", "proxy-authenticate", "proxy-authorization"}
)
"""Lists that never join on commas (RFC 3261 §7.3.1)."""


_USUAL: Final = (
    "Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authentication-Info "
    "Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-Language "
    "Content-Length Content-Type CSeq Date Error-Info Event Expires From In-Reply-To Max-Forwards "
    "MIME-Version Min-Expires Min-SE Organization P-Asserted-Identity P-Preferred-Identity Path Priority "
    "Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck Reason Record-Route Refer-To "
    "Referred-By Replaces Reply-To Require Retry-After Route RSeq Server Service-Route Session-Expires "
    "SIP-ETag SIP-If-Match Subject Subscription-State Supported Timestamp To Unsupported User-Agent Via "
    "Warning WWW-Authenticate "
)


spellings: Final[dict[str, str]] = {}
"""Names as received → lower-case long name, "" where it is no token: those seen, up to a bound.

The usual ones are there from the start, so that nobody can fill the table with names of his own
and make everybody else's slow.
"""


def canonical(name: str) -> str:
    """The lower-case long name of a header name as received, "" when it is no token."""
    key = spellings.get(name)
    if key is None:
        # Blanks may stand before the colon and nowhere else. Other white space that Python would
        # strip is refused: the next hop may not see the same name behind it.
        key = name.rstrip(BLANKS)
        key = key.lower() if is_token(key) else ""
        # The same object as in the code: dictionaries find it without a look at its letters.
        key = intern(COMPACT.get(key, key))
        if len(spellings) < MAX_REMEMBERED and len(name) <= 40:
            spellings[name] = key
    return key


for _name in (*_USUAL.split(), *COMPACT):
    canonical(_name)  # a look-up is what puts it there
