"""Which user names may be chosen: plain letters, not reserved, not confusable with another."""

from __future__ import annotations

import re
from typing import Final

SHAPE: Final = re.compile(r"[a-z](?:[a-z0-9]|[._-](?=[a-z0-9])){2,31}")
"""3 to 32 of a-z, 0-9 and single separators inside; the first is a letter, so no name is a number."""

RESERVED: Final = frozenset(
    [
        "abuse",
        "admin",
        "administrator",
        "after-hours",
        "alarm",
        "alert",
        "ambulance",
        "anonymous",
        "anyone",
        "asterisk",
        "billing",
        "bot",
        "callback",
        "calls",
        "campus",
        "conference",
        "contact",
        "daemon",
        "directory",
        "echo",
        "emergency",
        "everyone",
        "fire",
        "fraud",
        "guest",
        "help",
        "helpdesk",
        "hostmaster",
        "info",
        "invalid",
        "lab",
        "localhost",
        "mailbox",
        "mailer",
        "moderator",
        "name",
        "noc",
        "nobody",
        "null",
        "official",
        "operator",
        "phone",
        "phonebook",
        "police",
        "postmaster",
        "presence",
        "principal",
        "proxy",
        "pstn",
        "rector",
        "register",
        "registrar",
        "reception",
        "robot",
        "root",
        "security",
        "server",
        "service",
        "services",
        "sip",
        "sips",
        "sos",
        "staff",
        "student",
        "students",
        "support",
        "switchboard",
        "sysadmin",
        "system",
        "teacher",
        "telephone",
        "test",
        "time",
        "unavailable",
        "undefined",
        "university",
        "unknown",
        "user",
        "users",
        "voicemail",
        "voip",
        "webmaster",
        "www",
    ]
)
"""Names that belong to services, or that people would trust."""

_LOOK_ALIKES: Final = str.maketrans("01", "ol", ".-_")
_DISGUISES: Final = str.maketrans("0134578i", "oleastbl", ".-_")


def normalise(name: str) -> str:
    """A name as it is kept: without blanks around it, in lower case."""
    return name.strip().lower()


def skeleton(name: str) -> str:
    """Equal for names that are read as one: `anna.berg` and `annaberg`, `kar1` and `karl`."""
    return name.translate(_LOOK_ALIKES).replace("rn", "m").replace("vv", "w")


def _disguised(name: str) -> str:
    """As `skeleton`, and also equal for `adm1n` and `admin`: too coarse between two students."""
    return name.translate(_DISGUISES).replace("rn", "m").replace("vv", "w")


_RESERVED_DISGUISES: Final = frozenset(_disguised(name) for name in RESERVED)


def is_well_formed(name: str) -> bool:
    """Whether a normalised name has the allowed shape."""
    return SHAPE.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Whether a normalised name is reserved, or looks like one that is."""
    return _disguised(name) in _RESERVED_DISGUISES
