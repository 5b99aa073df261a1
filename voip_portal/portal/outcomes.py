"""How a call ended, in words: one table from cause, status code and who ended it to a sentence.

The first row that fits is taken. A row fits when each of its conditions that is not None does.
`tests/voip_portal/portal/test_outcomes.py` walks all rows.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


class Tone(StrEnum):
    """How a row is shown."""

    TALKED = "talked"
    QUIET = "quiet"
    MISSED = "missed"
    FAILED = "failed"
    GOING_ON = "going-on"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    cause: str | None
    by: str | None
    status: Container[int] | None
    reason: str | None
    """A part of the Reason text, in lower case."""
    outgoing: Text
    """What the caller reads."""
    incoming: Text
    """What the called person reads."""
    tone: Tone
    tone_incoming: Tone | None = None
    """When the called person's differs."""

    def fits(self, cause: str, by: str, status: int, reason: str) -> bool:
        return (
            (self.cause is None or self.cause == cause)
            and (self.by is None or self.by == by)
            and (self.status is None or status in self.status)
            and (self.reason is None or self.reason in reason.lower())
        )


T, Q, M, F = Tone.TALKED, Tone.QUIET, Tone.MISSED, Tone.FAILED

ROWS: Final[tuple[Row, ...]] = (
    # Answered calls.
    Row("completed", "caller", None, None, _("Talked; you hung up"), _("Talked; they hung up"), T),
    Row("completed", "callee", None, None, _("Talked; they hung up"), _("Talked; you hung up"), T),
    Row("completed", None, None, None, _("Talked"), _("Talked"), T),
    Row("terminated", None, None, None,
        _("Ended by the administrators"), _("Ended by the administrators"), T),
    Row("vanished", None, None, None,
        _("Ended: a phone could no longer be reached"),
        _("Ended: a phone could no longer be reached"), T),
    Row("lost", None, None, None,
        _("Ended: the connection was lost"), _("Ended: the connection was lost"), T),
    # Given up before an answer.
    Row("cancelled", None, None, "elsewhere",
        _("Answered on another phone"), _("Answered on another phone"), Q),
    Row("cancelled", "system", None, None, _("No answer"), _("Missed; you did not answer"), Q, M),
    Row("cancelled", None, None, None,
        _("You hung up before an answer"), _("Missed; they hung up"), Q, M),
    # Turned down.
    Row("busy", None, None, None, _("Busy"), _("Missed; you were on the phone"), Q, M),
    Row(None, None, (486, 600), None, _("Busy"), _("Missed; you were on the phone"), Q, M),
    Row(None, None, (603, 607), None, _("Declined"), _("You declined"), Q),
    Row(None, None, (433,), None,
        _("They take no anonymous calls"), _("Refused: the caller was anonymous"), Q),
    # Nobody there.
    Row("no_answer", None, None, None, _("No answer"), _("Missed; you did not answer"), Q, M),
    Row("unreachable", None, None, None,
        _("Not reachable: none of their phones is connected"),
        _("Missed; none of your phones was connected"), F, M),
    Row(None, None, (480, 408, 430), None,
        _("Not reachable at the moment"), _("Missed; your phone could not be reached"), F, M),
    Row(None, None, (410,), None, _("This number is no longer in use"), _("Not connected"), F),
    # Wrong addresses.
    Row(None, None, (404, 604), "emergency",
        _("Emergency calls are not possible here: use a mobile phone"), _("Not connected"), F),
    Row(None, None, (404, 604), None,
        _("Nobody has this name or number"), _("Not connected"), F),
    Row(None, None, (484, 416, 414, 485), None,
        _("This is not a complete number or address"), _("Not connected"), F),
    # Not allowed.
    Row(None, None, (401, 407), None,
        _("Your phone's secret was not accepted"), _("Not connected"), F),
    Row(None, None, (403, 402, 405, 606), None,
        _("This call is not allowed"), _("Refused: not allowed"), F),
    # The phones do not understand each other.
    Row(None, None, (415, 420, 421, 488, 493, 494, 406), None,
        _("The two phones have no sound format in common"),
        _("Missed; the two phones have no sound format in common"), F, M),
    # Routing faults.
    Row(None, None, (482, 483, 440), None,
        _("The call went in circles"), _("Missed; the call went in circles"), F, M),
    Row(None, None, (503,), None,
        _("The service is overloaded: try again soon"), _("Missed; overload"), F, M),
    Row("rejected", None, range(500, 600), None,
        _("A technical fault at their side"), _("Missed; a technical fault"), F, M),
    Row("rejected", None, None, None, _("Refused"), _("Refused by your phone"), F, Q),
    Row(None, None, None, None, _("A technical fault"), _("Missed; a technical fault"), F, M),
)

RINGING: Final = (_("Ringing"), Tone.GOING_ON)
TALKING: Final = (_("Going on now"), Tone.GOING_ON)


def outcome(
    *,
    outgoing: bool,
    cause: str,
    by: str = "",
    status: int = 0,
    reason: str = "",
    is_open: bool = False,
    answered: bool = False,
) -> tuple[Text, Tone]:
    """The sentence for one side of a call, and how to show it."""
    if is_open:
        return TALKING if answered else RINGING
    row = next(row for row in ROWS if row.fits(cause, by, status, reason))
    if outgoing:
        return row.outgoing, row.tone
    return row.incoming, row.tone_incoming or row.tone
