"""Ongoing calls as a proxy sees them, and the signed token that lets any worker route one."""

from sipcore.calls.call import Call, Dialog, EndedCall
from sipcore.calls.ending import ack_request, bye_request, bye_requests, probe_request
from sipcore.calls.journal import journal_row
from sipcore.calls.leg import Leg
from sipcore.calls.table import CallTable
from sipcore.calls.token import CallToken, TokenMaker

__all__ = [
    "Call",
    "CallTable",
    "CallToken",
    "Dialog",
    "EndedCall",
    "Leg",
    "TokenMaker",
    "ack_request",
    "bye_request",
    "bye_requests",
    "journal_row",
    "probe_request",
]
