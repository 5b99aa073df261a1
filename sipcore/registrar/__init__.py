"""The registrar: what a REGISTER changes and how it is answered (RFC 3261 §10)."""

from sipcore.registrar.answers import answer
from sipcore.registrar.policy import RegistrarPolicy, WhenFull
from sipcore.registrar.registrar import (
    Outcome,
    Reply,
    Write,
    process,
    refuse_unsupported,
)

__all__ = [
    "Outcome",
    "RegistrarPolicy",
    "Reply",
    "WhenFull",
    "Write",
    "answer",
    "process",
    "refuse_unsupported",
]
