"""What is made once, at first start; which nodes live."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.utils.timezone import now

from voip_portal.nodes.models import Deployment, Node

SILENT_AFTER: Final = timedelta(seconds=15)
"""A node that was not heard of for three heartbeats is not counted on."""


def ensure_deployment(realm: str = "campus") -> Deployment:
    """The deployment row; made with this realm and a fresh cluster key when there is none."""
    deployment, _ = Deployment.objects.get_or_create(
        id=1, defaults={"realm": realm, "cluster_key": secrets.token_hex(32)}
    )
    return deployment


def realm() -> str:
    """The realm that every device's HA1 is made for."""
    return ensure_deployment().realm


def is_alive(node: Node, at: datetime | None = None) -> bool:
    """Whether the node was heard of lately."""
    heard = node.heartbeat_at
    return heard is not None and (at or now()) - heard < SILENT_AFTER
