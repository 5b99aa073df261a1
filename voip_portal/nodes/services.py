"""What is made once, at first start."""

from __future__ import annotations

import secrets

from voip_portal.nodes.models import Deployment


def ensure_deployment(realm: str = "campus") -> Deployment:
    """The deployment row; made with this realm and a fresh cluster key when there is none."""
    deployment, _ = Deployment.objects.get_or_create(
        id=1, defaults={"realm": realm, "cluster_key": secrets.token_hex(32)}
    )
    return deployment


def realm() -> str:
    """The realm that every device's HA1 is made for."""
    return ensure_deployment().realm
