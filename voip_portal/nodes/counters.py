"""What a node has dropped or refused, by reason, as staff read it.

The reasons are `sipcore.eventlog.Counter`; a node reports how often with its heartbeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext_lazy as _

REASONS: Final = {
    "malformed": _("Messages that are no SIP, dropped: scanners, broken phones, a flood"),
    "malformed_answered": _("Requests with faults in them, answered with an error"),
    "stream_malformed": _("TCP or TLS connections closed because what came was no SIP"),
    "stun": _("STUN requests not answered: malformed, or too many from one address"),
    "foreign_response": _("Responses to requests that this node did not send, dropped"),
    "stray_response": _("Responses that came after their request was over, or forged, dropped"),
    "response_elsewhere": _("Responses from another address than was asked, taken all the same"),
    "stray_ack": _("ACKs that belong to nothing, dropped: one for each call is normal"),
    "foreign_ack": _("ACKs from somebody who is not in the call, dropped"),
    "ack_unroutable": _("ACKs whose next server was not found in the DNS, dropped"),
    "ack_insecure": _("ACKs of sips calls that could only go without TLS, dropped"),
    "request_insecure": _("Requests for sips addresses that could only go without TLS, not sent"),
    "message_insecure": _("Text messages for sips addresses without TLS on the way, not sent"),
    "message_pending": _("Text messages to a phone that has not answered the last one, not sent"),
    "message_too_large": _("Text messages too large for UDP, not sent"),
    "stranger_refused": _("Calls from strangers, refused: search for numbers, toll fraud"),
    "stranger_limited": _("Calls from strangers beyond what a line or network may have at once"),
    "stranger_message_limited": _("Messages from strangers beyond what a line or network may have"),
    "method_refused": _("Requests from strangers that could make a phone act, refused"),
    "lookup_limited": _("Requests answered 503 because too many names were being looked up"),
    "extra_answer": _("Answers of more phones than one call can have, not passed on"),
    "too_busy": _("Requests answered 503 because too many were going on"),
    "stopping": _("Calls and requests answered 503 while the node was being stopped"),
    "no_socket": _("Datagrams not sent: the node no longer listens at their address"),
    "datagram_not_sent": _("Datagrams that the operating system refused to send"),
    "kernel_dropped": _(
        "Datagrams dropped by the operating system before the server had read them: it was too busy"
    ),
    "connection_refused": _("Connections closed: too many in all, or from one network"),
    "connection_out_of_reach": _(
        "Connections not opened: their network is not among the open ones"
    ),
    "handshake_refused": _("TLS handshakes refused: too many at a time, or no certificate here"),
    "handshake_failed": _(
        "TLS connections that failed: protocol, time, or the other's certificate"
    ),
    "internal_error": _("Messages not handled because of a fault in the server: see its log"),
    "record_dropped": _("Records not written: the spool is full, only calls are recorded"),
    "record_lost": _("Records lost: the disk was full for too long"),
}


class Count(NamedTuple):
    """How often one reason was counted."""

    name: str
    reason: str
    latest: int
    """In the last whole minute."""
    total: int
    """Since the node started."""


def counted(counts: Mapping[str, Any]) -> list[Count]:
    """What a node has reported, most of the last minute first; only what was counted at all."""
    latest, total = counts.get("latest", {}), counts.get("total", {})
    rows = [
        Count(name, str(REASONS.get(name, name)), latest.get(name, 0), number)
        for name, number in total.items()
    ]
    return sorted(rows, key=lambda row: (-row.latest, -row.total, row.name))
