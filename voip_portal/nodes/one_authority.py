"""One authority for all nodes of a deployment: the first node founds it, and its certificate is in the database.

Its key stays in the folder of the node that made it: the database, and so the web site, has none of it.
A node on another machine does not found a second one, which no phone would know.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from django.db import transaction

from voip_portal.nodes.campus_authority import ensure
from voip_portal.nodes.certificates import AUTHORITY
from voip_portal.nodes.models import Deployment

log = logging.getLogger("voip_portal.nodes")

ANOTHER: Final = (
    "The authority in %s is not the one of this deployment, so phones may refuse this node: put the "
    "folder `authority` of the other nodes there and remove fallback.pem, or start one node with "
    "--new-authority and install its certificate on all phones."
)


def ensure_certificate(folder: Path, hosts: Sequence[str], *, anew: bool = False) -> None:
    """Have a certificate of the deployment's authority where the operator has put none.

    `anew`: this node's authority is the deployment's from now on, whatever was before. Raises
    `campus_authority.NoAuthority` where another node has the key, OSError where nothing can be written.
    """
    with transaction.atomic():
        deployment = Deployment.objects.select_for_update().get(id=1)  # nodes come one by one
        before = _certificate(folder)
        is_first = anew or not deployment.authority
        ensure(folder, hosts, may_found=is_first)
        own = _certificate(folder)
        if not own or own == deployment.authority:
            return
        if is_first or before == deployment.authority:
            deployment.authority = own
            deployment.save(update_fields=["authority"])
            return
    log.warning(ANOTHER, folder)


def _certificate(folder: Path) -> str:
    try:
        return (folder / AUTHORITY).read_text()
    except FileNotFoundError:
        return ""
