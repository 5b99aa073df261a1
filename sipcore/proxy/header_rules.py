"""Headers by who sends them and who gets them: what is taken out of requests and of responses.

One table, applied where a message is forwarded. A phone that is trusted to obey has no way to tell who
wrote a header: so of strangers nothing arrives that has it pick up by itself, or that says something in
the name of the network; and of one account nothing of the first kind at another's phones. Who asserts whom (RFC 3325) is in `forward.remove_assertions`.
"""

from __future__ import annotations

from typing import Final

from sipcore.message import Message
from sipcore.proxy.trust import Trust

_A, _P, _O = Trust.ACCOUNT, Trust.PEER, Trust.OWN
_ALL: Final = (_A, _P, Trust.STRANGER)
"""Who may get something: a phone of ours, a trusted peer, a foreign domain."""
_OUT: Final = (_P, Trust.STRANGER)
"""All but the phones of other lines of ours."""
_HERE: Final = (_A, _P)
"""Those inside the network that trusts what is said of it (RFC 3324)."""

Row = dict[Trust, tuple[Trust, ...]]
TABLE: Final[dict[str, Row]] = {
    # header: whose passes to whom. What is not here is taken out; so all of a stranger's.
    "answer-mode": {_A: _OUT, _P: _ALL, _O: _ALL},  # RFC 5373 §4
    "priv-answer-mode": {_A: _OUT, _P: _ALL, _O: _ALL},  # RFC 5373 §4
    "p-auto-answer": {_A: _OUT, _P: _ALL, _O: _ALL},  # a maker's, for the same
    "alert-info": {_A: _OUT, _P: _ALL, _O: _ALL},  # RFC 3261 §20.4, RFC 7462; info=alert-autoanswer
    "call-info": {_A: _OUT, _P: _ALL, _O: _ALL},  # RFC 3261 §20.9: rows with answer-after alone
    "diversion": {_A: _ALL, _P: _ALL, _O: _ALL},  # RFC 5806 §4
    "history-info": {_A: _ALL, _P: _ALL, _O: _ALL},  # RFC 7044 §10
    "referred-by": {_A: _ALL, _P: _ALL, _O: _ALL},  # RFC 3892 §5
    "p-called-party-id": {_A: _ALL, _P: _ALL, _O: _ALL},  # RFC 7315 §4.2
    "p-asserted-service": {_A: _HERE, _P: _HERE, _O: _HERE},  # RFC 6050 §4.1: within the network
    "p-charging-vector": {_A: _HERE, _P: _HERE, _O: _HERE},  # RFC 7315 §4.6: within the network
    "p-access-network-info": {_A: _HERE, _P: _HERE, _O: _HERE},  # RFC 7315 §4.4: within the network
    "p-early-media": {_A: _ALL, _P: _ALL, _O: _ALL},  # RFC 5009 §6
}
TAKEN_OUT: Final[tuple[tuple[frozenset[str], ...], ...]] = tuple(
    [
        tuple(
            [
                frozenset(
                    [key for key, row in TABLE.items() if receiver not in row.get(sender, ())]
                )
                if receiver is not Trust.OWN
                else frozenset()  # a service of ours sees all, and so do the sender's own phones
                for receiver in Trust
            ]
        )
        for sender in Trust
    ]
)
"""By sender and receiver (the values of `Trust`): the names that are taken out."""


def take_out(message: Message, sender: Trust, receiver: Trust) -> None:
    """Take out of a message what this sender may not tell this receiver."""
    barred = TAKEN_OUT[sender][receiver]
    if not barred or barred.isdisjoint(message.keys):
        return  # as nearly always
    for key in barred.intersection(message.keys):
        if key != "call-info":
            message.remove(key)
            continue
        rows = message.rows(key)
        message.remove(key)
        for row in rows:
            if "answer-after" not in row.lower():
                message.append("Call-Info", row)


__all__ = ["TABLE", "TAKEN_OUT", "take_out"]
