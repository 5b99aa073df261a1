"""REGISTER rules (RFC 3261 §10.3, RFC 3327 §5.3, RFC 5626 §6) as functions of what is given.

`process` turns a request and the present bindings into a response or into a change to be stored.
After the store has it, `answer` makes the 200. When the store says the line has moved on, `process`
is called again with what the store holds: so two nodes never overwrite each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sipcore.bindings import Binding, BindingChange
from sipcore.directory import Account, Device
from sipcore.errors import MalformedMessage
from sipcore.message import Request, Response, Uri, has_star, parse_name_addr, parse_params
from sipcore.registrar.answers import answer, refuse
from sipcore.registrar.draft import Draft, Full, OutOfOrder, Source
from sipcore.registrar.limits import (
    MAX_CALL_ID_LENGTH,
    MAX_CONTACT_LENGTH,
    MAX_PATH_VALUES,
    MOST_CONTACTS,
)
from sipcore.registrar.policy import RegistrarPolicy
from sipcore.registrar.wanted import (
    TooBrief,
    Wanted,
    is_first_hop,
    is_storable,
    read_contact,
    read_seconds,
    read_user_agent,
)
from sipcore.transport.flow import Flow, is_address, same_host
from sipcore.transport.written import is_local_name, is_mapped, is_private


class Reply(NamedTuple):
    """The request is answered by this; nothing changes."""

    response: Response


class Write(NamedTuple):
    """This change must be stored; then the request is answered by `answer`.

    It may have no rows: then the store has only to confirm that the line is still at its version.
    """

    change: BindingChange


Outcome = Reply | Write


def is_present(binding: Binding) -> bool:
    """Of a registrar that is told nothing of flows: whoever is registered is there."""
    return True


def process(
    request: Request,
    account: Account,
    device: Device | None,
    flow: Flow | None,
    bindings: Sequence[Binding],
    version: int,
    at: float,
    policy: RegistrarPolicy,
    node: str,
    leads_back: Callable[[Uri], bool] | None = None,
    is_alive: Callable[[Binding], bool] = is_present,
    nonce_at: float = 0.0,
) -> Outcome:
    """What a REGISTER of this account's address-of-record does.

    The caller has authenticated `device` and found it entitled. `flow` is
    where the request came from; `bindings` are the live ones of the line at `version`; `node` is
    our own name; `leads_back` tells whether a URI would be sent to ourselves, `is_alive` whether a phone
    is still there by its flow; `nonce_at` is when the nonce of its credentials was minted (UTC).
    """
    refusal = refuse_unsupported(request, policy)
    if refusal is not None:
        return Reply(refusal)
    if "contact" not in request.keys:
        return Reply(answer(request, bindings, at, policy))
    try:
        source = _source(request, account, device, at, node, is_alive, nonce_at)
        draft = Draft(source, bindings)
        refusal = _apply(request, draft, flow, policy, leads_back)
        if refusal is not None:
            return Reply(refusal)
        change = draft.change(version, policy)
    except MalformedMessage as error:
        return Reply(refuse(request, error.status, error.reason))
    except TooBrief:
        floor = [("Min-Expires", str(policy.min_expires_s))]
        return Reply(refuse(request, 423, "Interval Too Brief", floor))
    except OutOfOrder:
        return Reply(refuse(request, 500, "Out of Order"))
    except Full:
        return Reply(refuse(request, 403, "Too Many Contacts"))
    return Write(change)


def refuse_unsupported(request: Request, policy: RegistrarPolicy) -> Response | None:
    """The refusal of a request that needs what we have not (RFC 3261 §10.3 item 2), or None.

    `process` asks this too; a caller that challenges first may ask before, as the RFC orders it.
    """
    if request.to.uri.scheme not in ("sip", "sips"):
        return refuse(request, 400, "To Is No SIP Address")  # RFC 4475 §3.3.4
    if "supported" in request.keys:
        request.supported  # noqa: B018 (raises: when the 200 is written it would be too late)
    missing = [tag for tag in request.require if tag.lower() not in policy.option_tags]
    if missing:
        return refuse(request, 420, "Bad Extension", [("Unsupported", ", ".join(missing))])
    if "path" in request.keys and not _path_allowed(request, policy):
        return refuse(request, 420, "Bad Extension", [("Unsupported", "path")])
    return None


def _apply(
    request: Request,
    draft: Draft,
    flow: Flow | None,
    policy: RegistrarPolicy,
    leads_back: Callable[[Uri], bool] | None,
) -> Response | None:
    """Put every Contact of the request into the draft, or say why it is refused."""
    values = request.values("contact")
    if (len(values) != 1 or values[0][:1] == "*") and has_star(values):
        return _apply_star(request, draft, values)
    if len(values) > MOST_CONTACTS:
        return refuse(request, 403, "Too Many Contacts")
    contacts = [parse_name_addr(value, "contact") for value in values]
    reads_reg_id = any("reg-id" in contact.params for contact in contacts)
    outbound = reads_reg_id and _outbound_applies(request, flow, policy)
    if reads_reg_id and policy.outbound_transports and _lacks_first_hop(request):
        return refuse(request, 439, "First Hop Lacks Outbound Support")
    expires = request.first("expires")
    wanted = [read_contact(c, expires, policy, outbound=outbound) for c in contacts]
    if outbound and any(w.reg_id for w in wanted) and sum(w.expires_s > 0 for w in wanted) > 1:
        return refuse(request, 400, "One Contact per Flow")  # RFC 5626 §6
    if _is_half_secure(request, wanted):
        return refuse(request, 400, "SIPS Contact Needs SIPS Throughout")
    if len(request.call_id) > MAX_CALL_ID_LENGTH or not is_storable(request.call_id):
        return refuse(request, 400, "Bad Call-ID")
    for contact in wanted:
        if not _can_be_kept(contact):
            return refuse(request, 400, "Bad Contact")
        if contact.uri.scheme not in ("sip", "sips"):
            return refuse(request, 403, "Contact Is No SIP Address")
        if "bnc" in contact.uri.params:  # numbers in bulk (RFC 6140): for who can expand them
            return refuse(request, 420, "Bad Extension", [("Unsupported", "gin")])
        way_back = _way_back(request, contact.uri, flow, outbound=contact.reg_id > 0)
        if way_back is None and flow is not None:
            way_back = _flow_to_keep_open(request, contact.uri, flow, draft)
        if contact.expires_s:
            is_written = way_back is None or is_mapped(contact.uri, way_back)  # and tried as such
            if is_written and leads_back is not None and leads_back(contact.uri):
                # Ten of these fork into ten times nine times eight ... requests (RFC 5393 §3).
                return refuse(request, 403, "Contact Leads Back Here")
            draft.put(contact, way_back)
        else:
            draft.remove(contact, way_back)
    return None


def _is_half_secure(request: Request, wanted: Sequence[Wanted]) -> bool:
    """Whether a sips contact is to be bound, but not everything else is sips (RFC 5630 §5.2)."""
    bound = [w.uri.scheme for w in wanted if w.expires_s]
    if "sips" not in bound:
        return False
    if request.uri.scheme != "sips" or any(scheme != "sips" for scheme in bound):
        return True
    return any(parse_name_addr(v, "path").uri.scheme != "sips" for v in request.values("path"))


def _can_be_kept(wanted: Wanted) -> bool:
    kept = (wanted.contact, wanted.instance, wanted.params)
    return len(wanted.contact) <= MAX_CONTACT_LENGTH and all(map(is_storable, kept))


def _apply_star(request: Request, draft: Draft, values: Sequence[str]) -> Response | None:
    """All contacts go (RFC 3261 §10.2.2), where the star itself or Expires says 0."""
    asked = parse_params(values[0][1:]).get("expires", request.first("expires"))
    if len(values) != 1 or read_seconds(asked or "") != 0:
        return refuse(request, 400, "Contact * Needs Expires: 0 and No Other")
    draft.remove_all()
    return None


def _source(
    request: Request,
    account: Account,
    device: Device | None,
    at: float,
    node: str,
    is_alive: Callable[[Binding], bool],
    nonce_at: float,
) -> Source:
    return Source(
        account.id,
        request.call_id,
        request.cseq_number,
        at,
        0 if device is None else device.id,
        read_user_agent(request),
        node,
        _read_path(request) if "path" in request.keys else (),
        is_alive,
        nonce_at,
    )


def _read_path(request: Request) -> tuple[str, ...]:
    """The Path values; they must be fit to be the Route of a call to this phone."""
    path = tuple(request.values("path"))
    if len(path) > MAX_PATH_VALUES or not all(map(is_storable, path)):
        raise MalformedMessage("not to be kept", header="path")
    for value in path:
        parse_name_addr(value, "path").uri  # noqa: B018 (raises)
    return path


def _path_allowed(request: Request, policy: RegistrarPolicy) -> bool:
    return policy.path_without_support or "path" in request.supported or "path" in request.require


def _outbound_applies(request: Request, flow: Flow | None, policy: RegistrarPolicy) -> bool:
    """Whether a reg-id counts: on a flow of our own, or one an edge proxy vouches for."""
    if is_first_hop(request):
        return flow is not None and flow.transport in policy.outbound_transports
    return bool(policy.outbound_transports) and _first_path_has_ob(request)


def _lacks_first_hop(request: Request) -> bool:
    supported = "outbound" in request.supported
    return supported and not is_first_hop(request) and not _first_path_has_ob(request)


def _first_path_has_ob(request: Request) -> bool:
    path = request.values("path")
    return bool(path) and "ob" in parse_name_addr(path[0]).uri.params


def _way_back(request: Request, contact: Uri, flow: Flow | None, *, outbound: bool) -> Flow | None:
    """The flow to keep, when the contact cannot be reached as written; else None.

    Who registers a flow (RFC 5626 §6) is reached by that flow, whatever the contact says.

    Only a user agent's own flow is of use: what came through a proxy goes back by its Path. A
    contact at the source's address but another port is the port that a NAT has for somebody else,
    where the phone asks for answers to the source (`rport`): the contact as written is tried after
    the flow (`routing.decide`). Without `rport` it is taken at its word: some phones send from
    another port than they listen on.
    """
    if flow is None:
        return None
    needed = (
        outbound
        or flow.reliable
        or _is_elsewhere(contact.host, flow.remote[0])
        or _is_mapped(request, contact, flow)
    )
    return flow if needed and is_first_hop(request) else None


def _flow_to_keep_open(request: Request, contact: Uri, flow: Flow, draft: Draft) -> Flow | None:
    """The flow of a phone that has learned its contact from a NAT, which forgets what is idle; else None.

    Many phones write the address that a 401 has shown them from their second REGISTER on, and send
    no keep-alive. A private sent-by tells, or the contact before it under the same Call-ID.
    """
    if flow.reliable or (contact.port or 5060) != flow.remote[1] or not is_first_hop(request):
        return None
    source, via_host = flow.remote[0], request.via.host
    is_private_via = not same_host(via_host, source) and is_private(via_host)
    return flow if is_private_via or draft.has_kept(request.call_id, source) else None


def _is_mapped(request: Request, contact: Uri, flow: Flow) -> bool:
    """Of several contacts the one of the Via's port is meant: the others are other phones."""
    if request.via.rport is None or not is_mapped(contact, flow):
        return False
    return len(request.contacts) == 1 or (contact.port or 5060) == (request.via.port or 5060)


def _is_elsewhere(host: str, source: str) -> bool:
    """Whether `host` is an IP address other than `source`, or a name that only the phone knows."""
    if same_host(host, source):
        return False
    return is_address(host.strip("[]")) or is_local_name(host)
