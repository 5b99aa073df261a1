"""Call contexts and the vocabulary of records (the external event log)."""

from sipcore.eventlog.context import (
    context_from_bits,
    context_from_bytes,
    context_to_bytes,
    new_context,
)
from sipcore.eventlog.counters import Counter, Counts
from sipcore.eventlog.json_line import json_line
from sipcore.eventlog.record import Cause, Heard, Kind, Record, Side, encode_line

__all__ = [
    "Cause",
    "Counter",
    "Counts",
    "Heard",
    "Kind",
    "Record",
    "Side",
    "context_from_bits",
    "context_from_bytes",
    "context_to_bytes",
    "encode_line",
    "json_line",
    "new_context",
]
