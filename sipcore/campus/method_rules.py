"""Methods by trust: what may be sent to a phone outside of a dialog, and by whom.

A phone does as it is told by whatever reaches it: a REFER has it dial with its own credentials, a
NOTIFY has it start again or pick up, a SUBSCRIBE has it tell whom it talks with. The table says who
may send what. Of a stranger what it does not let pass is answered without state, the same whether the
line is known or not.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from sipcore.calls.named import DialogName
from sipcore.message import Request, parse_params
from sipcore.message.grammar import is_token
from sipcore.proxy import Trust

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, SUBSCRIBE, NOTIFY, REFER, INFO, UPDATE, PRACK"
"""What this server takes in one place or another, from those who may (RFC 3261 §20.5)."""


def allow_besides(method: str) -> str:
    """What a 405 says is taken: all but what it refuses (RFC 3261 §21.4.6)."""
    return ", ".join([name for name in ALLOW.split(", ") if name != method])


class Rule(Enum):
    """What becomes of a request outside of a dialog that is for a phone."""

    PASS = "pass"  # noqa: S105 (no password)
    ANSWER = "answer"
    """Answered 200 by us, whoever is asked for (RFC 3261 §11.2)."""
    REFUSE = "refuse"
    """405 with Allow (RFC 3261 §8.2.1)."""
    NO_DIALOG = "no dialog"
    """481: a method that exists inside dialogs only."""
    PACKAGE = "package"
    """Passes, but for packages that are for the line alone (`PRIVATE_PACKAGES`, `COMMANDS`)."""
    OWN_LINE = "own line"
    """Between the phones of one line only."""
    CALL = "call"
    """Between the phones of one line, or where the sender names a call of both that we hold."""
    NEWS = "news"
    """Between the phones of one line, or inside a subscription that passed us."""
    NOT_COMMAND = "not a command"
    """Passes, but for packages that command a phone (`COMMANDS`)."""
    FOREIGN = "foreign"
    """Passes to foreign domains, never to a phone of ours: 405."""


METHODS: Final[dict[str, tuple[Rule, Rule, Rule, Rule]]] = {
    # method: stranger, account, trusted peer, service of ours (the values of `Trust`)
    "INVITE": (Rule.PASS, Rule.PASS, Rule.PASS, Rule.PASS),
    "MESSAGE": (Rule.PASS, Rule.PASS, Rule.PASS, Rule.PASS),
    "OPTIONS": (Rule.ANSWER, Rule.PASS, Rule.PASS, Rule.PASS),
    "SUBSCRIBE": (Rule.REFUSE, Rule.PACKAGE, Rule.NOT_COMMAND, Rule.PASS),  # RFC 6665
    "PUBLISH": (Rule.REFUSE, Rule.OWN_LINE, Rule.NOT_COMMAND, Rule.PASS),  # RFC 3903
    "NOTIFY": (Rule.REFUSE, Rule.NEWS, Rule.NOT_COMMAND, Rule.PASS),  # RFC 6665
    "REFER": (Rule.REFUSE, Rule.CALL, Rule.PASS, Rule.PASS),  # RFC 3515, RFC 4538
    "BYE": (Rule.REFUSE, Rule.NO_DIALOG, Rule.NO_DIALOG, Rule.PASS),
    "INFO": (Rule.REFUSE, Rule.NO_DIALOG, Rule.NO_DIALOG, Rule.PASS),  # RFC 6086
    "PRACK": (Rule.REFUSE, Rule.NO_DIALOG, Rule.NO_DIALOG, Rule.PASS),  # RFC 3262
    "UPDATE": (Rule.REFUSE, Rule.NO_DIALOG, Rule.NO_DIALOG, Rule.PASS),  # RFC 3311
    "REGISTER": (
        Rule.FOREIGN,
        Rule.FOREIGN,
        Rule.FOREIGN,
        Rule.PASS,
    ),  # what is not the registrar's
}
"""ACK and CANCEL belong to the transaction of an INVITE and are not asked about here."""
OTHERS: Final = (Rule.REFUSE, Rule.REFUSE, Rule.REFUSE, Rule.PASS)
"""Methods that nobody knows. Inside a call they pass like all others."""

BEFORE_THE_ANSWER: Final = frozenset(
    ["INVITE", "ACK", "BYE", "PRACK", "UPDATE", "INFO", "MESSAGE", "OPTIONS"]
)
"""Methods that pass inside a call that nobody has answered yet. A call that rings is no consent: anybody
may have a phone ring, and send by the dialog of its 180 what the table bars outside."""
COMMANDS: Final = frozenset(
    [
        *("check-sync", "resync", "reboot", "restart", "report", "talk", "hold"),
        *("as-feature-event", "action-uri", "service-control", "sys-control", "ua-profile"),
        *("xml", "aastra-xml", "yealink-xml"),
    ]
)
"""Event packages by which desk phones are started again, picked up, put on hold, shown something, or
have their settings changed; `ua-profile` (RFC 6080) is the one that is registered."""
PRIVATE_PACKAGES: Final = COMMANDS | {"dialog", "call-info", "line-seize"}
"""Packages for the phones of one line: those tell who talks with whom (RFC 4235, and what vendors
have for shared lines), or command."""


STRANGERS_MAY: Final = frozenset(
    [method for method, row in METHODS.items() if row[Trust.STRANGER] is Rule.PASS]
)
"""Methods that a stranger may send to a line outside of a dialog."""


def packages(request: Request) -> list[str] | None:
    """The event packages that a request names, in lower case; None where one cannot be read.

    One is all there may be (RFC 6665 §8.2.1); of several a phone may take any. A template's package
    counts as the one it is about.
    """
    found = []
    for row in request.rows("event"):
        for piece in row.split(","):
            name = piece.partition(";")[0].strip(" \t").lower()
            if not is_token(name):
                return None
            found.append(name.partition(".")[0])
    return found


def commands_phone(request: Request) -> bool:
    """Whether a request names a package that commands a phone, or one that nobody can read."""
    found = packages(request)
    return found is None or not COMMANDS.isdisjoint(found)


def asks_for_the_lines_own(request: Request) -> bool:
    """Whether a request inside a call is for the phones of one line: commands, or spies.

    Who subscribes to `dialog` inside a call hears of all calls of the other phone, not of this one.
    """
    if request.method in ("SUBSCRIBE", "PUBLISH"):
        found = packages(request)
        return found is None or not PRIVATE_PACKAGES.isdisjoint(found)
    return commands_phone(request)


def names_dialog(value: str) -> DialogName | None:
    """Call-ID and both tags of a Target-Dialog, Replaces or Join value; None where it has not all.

    RFC 4538 §7 has local-tag and remote-tag, RFC 3891 §6.1 and RFC 3911 §7.1 to-tag and from-tag.
    """
    call_id, _, tail = value.partition(";")
    params = parse_params(f";{tail}" if tail else "")
    for names in (("to-tag", "from-tag"), ("local-tag", "remote-tag")):
        one, other = params.get(names[0]), params.get(names[1])
        if one and other:
            return DialogName(call_id.strip(" \t"), (one, other))
    return None


__all__ = [
    "ALLOW",
    "BEFORE_THE_ANSWER",
    "COMMANDS",
    "METHODS",
    "OTHERS",
    "PRIVATE_PACKAGES",
    "STRANGERS_MAY",
    "Rule",
    "allow_besides",
    "asks_for_the_lines_own",
    "commands_phone",
    "names_dialog",
    "packages",
]
