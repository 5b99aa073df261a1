"""What is made once, at first start; which nodes live."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now

from voip_portal.nodes.certificates import own_authority
from voip_portal.nodes.models import Deployment, Node

SILENT_AFTER: Final = timedelta(seconds=15)
"""A node that was not heard of for three heartbeats is not counted on."""

NUMBERS: Final = 256
"""Nodes that a deployment can tell apart: a token has a byte for the number."""


def ensure_deployment(realm: str = "campus") -> Deployment:
    """The deployment row; made with this realm and a fresh cluster key when there is none."""
    deployment, _ = Deployment.objects.get_or_create(
        id=1, defaults={"realm": realm, "cluster_key": secrets.token_hex(32)}
    )
    return deployment


def realm() -> str:
    """The realm that every device's HA1 is made for."""
    return ensure_deployment().realm


class NoNumberLeft(Exception):
    """All numbers are other nodes'."""


def number_of_node(name: str) -> int:
    """The number of the node with this name, the lowest free one at its first start.

    Raises `NoNumberLeft` where there are `NUMBERS` other nodes.
    """
    with transaction.atomic():
        Deployment.objects.select_for_update().get(id=1)  # nodes come one by one
        node, _ = Node.objects.get_or_create(name=name)
        if node.number is None:
            taken = set(Node.objects.exclude(number=None).values_list("number", flat=True))
            free = (number for number in range(NUMBERS) if number not in taken)
            node.number = next(free, None)
            if node.number is None:
                raise NoNumberLeft
            node.save(update_fields=["number"])
    return node.number


def told_node() -> Node | None:
    """The node that phones are pointed at: of those that live the first by name, else the last heard of.

    None before any has said what it listens on.
    """
    nodes = [node for node in Node.objects.order_by("name") if node.listeners]
    at = now()
    alive = [node for node in nodes if is_alive(node, at)]
    if alive:
        return alive[0]
    heard = [node for node in nodes if node.heartbeat_at is not None]
    return max(heard, key=lambda node: node.heartbeat_at or at, default=None)


class Served(NamedTuple):
    """Where phones and other servers reach us."""

    host: str
    """An IPv6 address without brackets."""
    ports: Mapping[str, int]
    """By transport: UDP, TCP, TLS; what is not served is not there."""
    own_authority: bool
    """Whether the certificate is known only by our own authority's."""


def served() -> Served:
    """As a node has reported it; from the settings before any has."""
    node = told_node()
    if node is not None:
        ports = {transport: port for transport, _host, port, _told in node.listeners}
        host = node.address or settings.VOIP_ADVERTISE
        return Served(host.strip("[]"), ports, node.own_authority)
    ports = {"UDP": settings.VOIP_SIP_PORT, "TCP": settings.VOIP_SIP_PORT}
    if settings.VOIP_TLS_PORT > 0:
        ports["TLS"] = settings.VOIP_TLS_PORT
    has_own = own_authority(settings.VOIP_TLS_FOLDER) is not None
    return Served(settings.VOIP_ADVERTISE.strip("[]"), ports, has_own)


def authority_certificate() -> bytes | None:
    """The certificate (PEM) that phones must trust, where nodes show what our own authority signed."""
    node = told_node()
    if node is None:
        path = own_authority(settings.VOIP_TLS_FOLDER)
        return None if path is None else path.read_bytes()
    if not node.own_authority:
        return None
    pem = Deployment.objects.filter(id=1).values_list("authority", flat=True).first()
    return pem.encode() if pem else None


def is_alive(node: Node, at: datetime | None = None) -> bool:
    """Whether the node was heard of lately."""
    heard = node.heartbeat_at
    return heard is not None and (at or now()) - heard < SILENT_AFTER
