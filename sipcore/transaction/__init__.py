"""The four machines of RFC 3261 §17 with RFC 6026 and RFC 4320; timers as data; no clock."""

from sipcore.transaction.base import Transaction, TransactionUser
from sipcore.transaction.client import (
    ClientTransaction,
    InviteClientTransaction,
    NonInviteClientTransaction,
)
from sipcore.transaction.merged import MergedRequests
from sipcore.transaction.owners import ClientOwner, ServerOwner
from sipcore.transaction.server import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
)
from sipcore.transaction.states import Input, State
from sipcore.transaction.table import TransactionTable
from sipcore.transaction.timers import TimerHeap, Timers

__all__ = [
    "ClientOwner",
    "ClientTransaction",
    "Input",
    "InviteClientTransaction",
    "InviteServerTransaction",
    "MergedRequests",
    "NonInviteClientTransaction",
    "NonInviteServerTransaction",
    "ServerOwner",
    "ServerTransaction",
    "State",
    "TimerHeap",
    "Timers",
    "Transaction",
    "TransactionTable",
    "TransactionUser",
]
