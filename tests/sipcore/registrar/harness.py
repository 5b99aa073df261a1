"""A registrar with its table and store, and the REGISTERs to send to it."""

from __future__ import annotations

from collections.abc import Sequence

from sipcore.bindings import Binding, BindingChange, BindingTable, MemoryBindingStore
from sipcore.directory import Account, Device
from sipcore.message import Request, Response
from sipcore.registrar import RegistrarPolicy, Reply, Write, answer, process
from sipcore.transport.flow import Flow

AT = 1_800_000_000.0
ANNA = Account(1, "anna", "campus.example", devices=(Device(11, b"", b""),))
SOURCE = "192.0.2.7"
UDP = Flow("UDP", ("192.0.2.250", 5060), (SOURCE, 5060))
TCP = Flow("TCP", ("192.0.2.250", 5060), (SOURCE, 40123), 9)
CONTACT = "<sip:anna@192.0.2.7:5060>"
UUID = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"


def a_register(
    *contacts: str,
    call_id: str = "call-1",
    cseq: int = 1,
    headers: Sequence[tuple[str, str]] = (),
    vias: int = 1,
    to: str = "<sip:anna@campus.example>",
) -> Request:
    rows = [
        ("Via", f"SIP/2.0/UDP 192.0.2.{7 + hop}:5060;branch=z9hG4bK-{call_id}-{cseq}-{hop}")
        for hop in range(vias)
    ]
    rows += [
        ("From", "<sip:anna@campus.example>;tag=f1"),
        ("To", to),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} REGISTER"),
    ]
    rows += [("Contact", contact) for contact in contacts]
    return Request.build("REGISTER", "sip:campus.example", [*rows, *headers])


class Node:
    """One node: processes, stores, and computes again after losing to another node."""

    def __init__(
        self,
        name: str = "n1",
        store: MemoryBindingStore | None = None,
        policy: RegistrarPolicy | None = None,
    ) -> None:
        self.name = name
        self.store = MemoryBindingStore() if store is None else store
        self.table = BindingTable()
        self.policy = policy or RegistrarPolicy()
        self.at = AT
        self.nonce_at = 0.0
        self.changes: list[BindingChange] = []
        self.conflicts = 0

    def start(self, request: Request, flow: Flow = UDP) -> Response | BindingChange:
        """The first half: a response, or a change that waits for the store."""
        outcome = process(
            request,
            ANNA,
            ANNA.devices[0],
            flow,
            self.table.bindings(ANNA.id, self.at),
            self.table.version(ANNA.id),
            self.at,
            self.policy,
            self.name,
            nonce_at=self.nonce_at,
        )
        match outcome:
            case Reply(response):
                return response
            case Write(change):
                return change

    def finish(self, request: Request, change: BindingChange, flow: Flow = UDP) -> Response:
        """The second half: commit, and again from the start when another node was faster."""
        (result,) = self.store.commit([change])
        if not result.ok:
            self.conflicts += 1
            assert result.bindings is not None
            self.table.replace(change.line_id, result.version, result.bindings)
            return self.register(request, flow)
        self.changes.append(change)
        assert self.table.apply(change)
        return answer(request, self.bindings(), self.at, self.policy)

    def register(self, request: Request, flow: Flow = UDP) -> Response:
        started = self.start(request, flow)
        return started if isinstance(started, Response) else self.finish(request, started, flow)

    def bindings(self) -> list[Binding]:
        return self.table.bindings(ANNA.id, self.at)

    def contacts(self) -> list[str]:
        return [binding.contact for binding in self.bindings()]


def expires_of(response: Response) -> dict[str, int]:
    """The contacts a 200 lists, with what remains of each."""
    return {c.uri_text: int(c.params["expires"] or -1) for c in response.contacts}
