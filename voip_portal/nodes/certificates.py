"""What lies in the folder of sipd's certificates (`sipcore.node.tls`), and whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

OWN: Final = "fallback.pem"
"""The one that the campus's own authority signed; any other comes before it."""
AUTHORITY: Final = Path("authority") / "campus-ca.pem"
AUTHORITY_KEY: Final = Path("authority") / "campus-ca.key"


def own_authority(folder: Path) -> Path | None:
    """The authority's certificate, where phones are shown one that it signed; else None."""
    path = folder / AUTHORITY
    return path if path.exists() and not of_operator(folder) else None


def of_operator(folder: Path) -> bool:
    """Whether somebody has put certificates into the folder."""
    return any(path.name != OWN for path in folder.glob("*.pem"))
