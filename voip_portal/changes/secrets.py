"""Which columns are secrets, of all models, ours and those of others.

No page, form, list, filter, search, export or API names one of these, and no answer to staff
depends on what is in one: `tests/voip_portal/portal/test_secrets.py` asks for all of them.
"""

from __future__ import annotations

import re
from typing import Final

SECRETS: Final[dict[str, frozenset[str]]] = {
    "account.EmailConfirmation": frozenset({"key"}),
    "accounts.User": frozenset({"password"}),
    "lines.DeviceSecret": frozenset({"ha1_md5", "ha1_sha256"}),
    "nodes.Deployment": frozenset({"cluster_key", "previous_cluster_key"}),
    "sessions.Session": frozenset({"session_key", "session_data"}),
}
"""Columns by model: who reads one can act as somebody else."""

NO_SECRETS: Final[dict[str, frozenset[str]]] = {
    "changes.Change": frozenset({"row_key"}),  # the number of a row
    "lines.DeviceSecret": frozenset({"device"}),
    "location.Binding": frozenset({"key"}),  # which contact of its line it is
}
"""Columns whose names only sound like it."""

SOUNDS_SECRET: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|key|ha1|hash|digest|nonce|salt|credential|private|session_data"
)
"""What a new column must not be called without being in one of the two lists."""
