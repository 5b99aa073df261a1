"""Bytes ↔ messages (RFC 3261 §7, §19, §20, §25): no I/O, no clock."""

from sipcore.message.framing import PING, StreamFramer
from sipcore.message.grammar import BLANKS, parse_auth_params, parse_params, quote, unquote
from sipcore.message.headers import NameAddr, Via, parse_name_addr, parse_via
from sipcore.message.limits import DEFAULT_LIMITS, Limits
from sipcore.message.message import Message, has_star
from sipcore.message.reasons import REASONS
from sipcore.message.request import Request
from sipcore.message.response import Response
from sipcore.message.scan import parse_message
from sipcore.message.strict import check_outside_call
from sipcore.message.uri import Uri, is_sips, parse_uri

__all__ = [
    "BLANKS",
    "DEFAULT_LIMITS",
    "PING",
    "REASONS",
    "Limits",
    "Message",
    "NameAddr",
    "Request",
    "Response",
    "StreamFramer",
    "Uri",
    "Via",
    "check_outside_call",
    "has_star",
    "is_sips",
    "parse_auth_params",
    "parse_message",
    "parse_name_addr",
    "parse_params",
    "parse_uri",
    "parse_via",
    "quote",
    "unquote",
]
