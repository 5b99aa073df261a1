"""Ongoing calls as a proxy sees them, and the signed token that lets any worker route one."""

from sipcore.calls.call import Call, CallTable, Dialog
from sipcore.calls.ending import bye_request, bye_requests, probe_request
from sipcore.calls.token import CallToken, TokenMaker

__all__ = [
    "Call",
    "CallTable",
    "CallToken",
    "Dialog",
    "TokenMaker",
    "bye_request",
    "bye_requests",
    "probe_request",
]
