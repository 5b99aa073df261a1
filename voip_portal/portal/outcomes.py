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
class Seen:
    """What was seen of a call besides its end."""

    rang: bool = True
    in_call: bool = True
    elsewhere: bool = False
    phone: str = ""
    """What was heard of the called person's phones (`sipcore.eventlog.Heard`): one of them `said` what
    the caller heard, all of them `refused`, or all were `silent` or refused; "" for anything else."""
    devices: str = ""
    """Names of those phones, for whoever they belong to."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    outgoing: Text
    """What the caller reads."""
    incoming: Text
    """What the called person reads."""
    tone: Tone
    tone_incoming: Tone | None = None
    """When the called person's differs."""
    cause: str | None = None
    by: str | None = None
    status: Container[int] | None = None
    reason: str | None = None
    """A part of the Reason text, in lower case."""
    rang: bool | None = None
    """Whether a phone was seen to ring."""
    in_call: bool | None = None
    """Whether the called person was seen to be in another call."""
    elsewhere: bool | None = None
    """Whether the called address is of another system."""
    phone: str | None = None
    """What was heard of the called person's phones."""
    named: Text | None = None
    """What the called person reads where it is known which device it was, %(device)s."""

    def fits(self, cause: str, by: str, status: int, reason: str, seen: Seen) -> bool:
        return (
            (self.rang is None or self.rang == seen.rang)
            and (self.in_call is None or self.in_call == seen.in_call)
            and (self.elsewhere is None or self.elsewhere == seen.elsewhere)
            and (self.phone is None or self.phone == seen.phone)
            and (self.cause is None or self.cause == cause)
            and (self.by is None or self.by == by)
            and (self.status is None or status in self.status)
            and (self.reason is None or self.reason in reason.lower())
        )


T, Q, M, F = Tone.TALKED, Tone.QUIET, Tone.MISSED, Tone.FAILED

ROWS: Final[tuple[Row, ...]] = (
    # Answered calls.
    Row(_("Talked; you hung up"), _("Talked; they hung up"), T, cause="completed", by="caller"),
    Row(_("Talked; they hung up"), _("Talked; you hung up"), T, cause="completed", by="callee"),
    Row(_("Talked"), _("Talked"), T, cause="completed"),
    Row(_("Ended by the service"), _("Ended by the service"), Q, cause="terminated"),
    Row(
        _("Talked; one of the phones was suddenly gone"),
        _("Talked; one of the phones was suddenly gone"),
        T,
        cause="vanished",
    ),
    Row(
        _("Talked until the service ended the call: it took too long"),
        _("Talked until the service ended the call: it took too long"),
        T,
        cause="too_long",
    ),
    # Given up before an answer.
    Row(
        _("Answered on another phone"),
        _("Answered on another phone"),
        Q,
        cause="cancelled",
        reason="elsewhere",
    ),
    Row(
        _("No answer: no phone of theirs rang"),
        _("Missed; your phone did not ring"),
        Q,
        M,
        cause="cancelled",
        by="system",
        rang=False,
    ),
    Row(_("No answer"), _("Missed; you did not answer"), Q, M, cause="cancelled", by="system"),
    Row(
        _("You hung up before it rang"),
        _("Missed; they hung up before your phone rang"),
        Q,
        M,
        cause="cancelled",
        rang=False,
    ),
    Row(_("You hung up before an answer"), _("Missed; they hung up"), Q, M, cause="cancelled"),
    Row(_("Cut off before an answer"), _("Missed; it was cut off"), F, M, cause="lost"),
    # Turned down.
    # Many phones say 486 when somebody presses "decline": busy is who was in a call.
    Row(
        _("Declined"),
        _("You declined"),
        Q,
        cause="busy",
        status=(486,),
        in_call=False,
        named=_("You declined on %(device)s"),
    ),
    Row(
        _("Declined"),
        _("You declined"),
        Q,
        status=(486,),
        in_call=False,
        named=_("You declined on %(device)s"),
    ),
    Row(_("Busy"), _("Missed; you were on the phone"), Q, M, cause="busy"),
    Row(_("Busy"), _("Missed; you were on the phone"), Q, M, status=(486, 600)),
    Row(
        _("Declined"),
        _("You declined"),
        Q,
        status=(603, 607),
        named=_("You declined on %(device)s"),
    ),
    Row(
        _("They take no anonymous calls"),
        _("Refused: the caller was anonymous"),
        Q,
        status=(433,),
    ),
    # What the called person's phones said, and did not say.
    Row(
        _("Not answered: their phone says that they are away"),
        _("Missed; your phone said that you are away"),
        Q,
        M,
        status=(480,),
        phone="said",
        named=_("Missed; %(device)s said that you are away"),
    ),
    Row(
        _("Their phone says that it does not have this number"),
        _("Missed; your phone said that this is not its number: check its user name"),
        F,
        M,
        status=(404, 410, 604),
        phone="said",
        named=_("Missed; %(device)s said that this is not its number: check its user name"),
    ),
    Row(
        _("Not reachable: their phone is switched off or has gone"),
        _("Missed; your phone was not running where it last connected"),
        F,
        M,
        status=(408, 430, 480, 500, 503),
        phone="refused",
        named=_("Missed; %(device)s was not running where it last connected"),
    ),
    Row(
        _("Not reachable: their phone says nothing"),
        _("Missed; your phone said nothing: it has gone, or has no network"),
        F,
        M,
        status=(408, 430, 480, 500, 503),
        phone="silent",
        named=_("Missed; %(device)s said nothing: it has gone, or has no network"),
    ),
    # Nobody there.
    Row(
        _("The other system does not answer"),
        _("Not connected"),
        F,
        cause="unreachable",
        status=(408, 430, 480, 500, 502, 503, 504),
        elsewhere=True,
    ),
    Row(
        _("The other system does not answer"),
        _("Not connected"),
        F,
        status=(408, 430, 500, 502, 503, 504),
        rang=False,
        elsewhere=True,
    ),
    Row(
        _("No answer: no phone of theirs rang"),
        _("Missed; your phone did not ring"),
        Q,
        M,
        cause="no_answer",
        rang=False,
    ),
    Row(_("No answer"), _("Missed; you did not answer"), Q, M, cause="no_answer"),
    Row(
        _("The other system has nobody of this name or number"),
        _("Not connected"),
        F,
        status=(404, 410, 604),
        elsewhere=True,
    ),
    Row(
        _("Not answered: their phone says that they are away"),
        _("Missed; your phone said that you are away"),
        Q,
        M,
        status=(480,),
        rang=True,
    ),
    Row(
        _("Their phone passes calls on to where we cannot reach"),
        _("Missed; your phone passed the call on to where we cannot reach"),
        F,
        M,
        status=range(300, 400),
        named=_("Missed; %(device)s passed the call on to where we cannot reach"),
    ),
    Row(
        _("Not reachable: none of their phones is connected"),
        _("Missed; none of your phones was connected"),
        F,
        M,
        cause="unreachable",
        status=(480,),
        rang=False,
    ),
    Row(
        _("Not reachable at the moment"),
        _("Missed; your phone could not be reached"),
        F,
        M,
        status=(408, 430, 480),
    ),
    Row(_("This number is no longer in use"), _("Not connected"), F, status=(410,)),
    # Wrong addresses.
    Row(
        _("Emergency calls are not possible here: use a mobile phone"),
        _("Not connected"),
        F,
        status=(404, 604),
        reason="emergency",
    ),
    Row(_("Nobody has this name or number"), _("Not connected"), F, status=(404, 604)),
    Row(
        _("This is not a complete number or address"),
        _("Not connected"),
        F,
        status=(414, 416, 484, 485),
    ),
    # Not allowed.
    Row(_("Your phone's secret was not accepted"), _("Not connected"), F, status=(401, 407)),
    Row(
        _("This call is not allowed"),
        _("Refused: not allowed"),
        F,
        status=(402, 403, 405, 606),
    ),
    # The phones do not understand each other.
    Row(
        _("The two phones have no sound format in common"),
        _("Missed; the two phones have no sound format in common"),
        F,
        M,
        status=(406, 415, 420, 421, 488, 493, 494),
    ),
    # Faults.
    Row(
        _("The call went in circles"),
        _("Missed; the call went in circles"),
        F,
        M,
        status=(440, 482, 483),
    ),
    Row(_("The service is overloaded: try again soon"), _("Missed; overload"), F, M, status=(503,)),
    Row(
        _("A technical fault at their side"),
        _("Missed; a technical fault"),
        F,
        M,
        cause="rejected",
        status=range(500, 600),
    ),
    Row(
        _("Not reachable at the moment"),
        _("Missed; your phone could not be reached"),
        F,
        M,
        cause="unreachable",
    ),
    Row(
        _("Refused"),
        _("Refused by your phone"),
        F,
        Q,
        cause="rejected",
        named=_("Refused by %(device)s"),
    ),
    Row(_("A technical fault"), _("Missed; a technical fault"), F, M),
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
    seen: Seen | None = None,
) -> tuple[Text, Tone]:
    """The sentence for one side of a call, and how to show it."""
    if is_open:
        return TALKING if answered else RINGING
    seen = seen or Seen()
    row = next(row for row in ROWS if row.fits(cause, by, status, reason, seen))
    if outgoing:
        return row.outgoing, row.tone
    tone = row.tone_incoming or row.tone
    if row.named is not None and seen.devices:
        return str(row.named) % {"device": seen.devices}, tone
    return row.incoming, tone
