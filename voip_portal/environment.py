"""What the environment says, read once by `settings`. No Django here, so it is easy to test."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

CONNECT_TIMEOUT_S = "5"
"""Seconds until a database server that says nothing counts as away, unless DATABASE_URL says another."""


def flag(name: str, *, default: bool = False) -> bool:
    """An on/off variable: 1, true, yes and on mean on."""
    value = os.environ.get(name)
    return default if value is None else value.strip().lower() in {"1", "true", "yes", "on"}


def words(name: str, default: str = "") -> list[str]:
    """A variable that holds words separated by commas or blanks."""
    return os.environ.get(name, default).replace(",", " ").split()


def password(name: str) -> str:
    """A password of another server: from NAME, else from the file NAME_FILE names, else none."""
    if os.environ.get(name):
        return os.environ[name]
    file = os.environ.get(f"{name}_FILE")
    return Path(file).read_text().strip() if file else ""


def secret(name: str, default_file: Path) -> str:
    """A secret of ours: from NAME, else from the file NAME_FILE names, else from a file made now.

    Several processes may start at once on an empty folder: the file is made by linking a finished
    temporary one into place, so that all of them read the same value.
    """
    if os.environ.get(name):
        return os.environ[name]
    path = Path(os.environ.get(f"{name}_FILE") or default_file)
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    temporary.touch(mode=0o600)
    temporary.write_text(secrets.token_urlsafe(50))
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_text().strip()


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def sqlite(path: Path) -> dict[str, Any]:
    """Settings of one SQLite file. Writers take the lock at BEGIN, so none is refused half-way."""
    return {
        "ENGINE": "voip_portal.embedded.sqlite3",
        "NAME": str(path),
        # Tests use a file too, with a file's locking, and one of their own for each process.
        "TEST": {"NAME": str(Path(gettempdir()) / f"test-{os.getpid()}-{path.name}")},
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "only": str(path),
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def databases(url: str, var: Path, password: str = "") -> dict[str, dict[str, Any]]:
    """Django's DATABASES. Embedded: two SQLite files, so that bindings never wait for the portal.

    The password is for a PostgreSQL URL without one.
    """
    if not url:
        return {
            "default": sqlite(var / "portal.sqlite3"),
            "bindings": sqlite(var / "bindings.sqlite3"),
        }
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        # As elsewhere: four slashes begin an absolute path, three one from the working folder.
        path = Path(unquote(parts.path[1:])).absolute()
        return {
            "default": sqlite(path),
            "bindings": sqlite(path.with_name(f"{path.stem}-bindings{path.suffix}")),
        }
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError(
            f"DATABASE_URL: unknown scheme {parts.scheme!r}; use postgres:// or sqlite://"
        )
    return {"default": _postgresql(parts, password)}


def _postgresql(parts: SplitResult, password: str) -> dict[str, Any]:
    options = {"connect_timeout": CONNECT_TIMEOUT_S, **dict(parse_qsl(parts.query))}
    host = options.pop("host", "") or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or "") or password,
        "HOST": host,
        "PORT": str(parts.port or options.pop("port", "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
