"""Mails that the embedded default writes to a folder instead of sending them.

They hold verification codes, so only a browser on this very machine may read them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

SHOWN = 50
_RULE = b"-" * 79
"""What Django's file backend writes between mails."""
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as the page shows it."""

    to: str
    subject: str
    at: datetime
    text: str


@never_cache
@require_GET
def mails(request: HttpRequest) -> HttpResponse:
    """The newest mails first."""
    if not _is_local(request) or "filebased" not in settings.EMAIL_BACKEND:
        raise Http404
    return render(
        request, "portal/mails.html", {"mails": read_mails(Path(settings.EMAIL_FILE_PATH))}
    )


def _is_local(request: HttpRequest) -> bool:
    """Whether browser and server are one machine, with no proxy between them."""
    if settings.VOIP_HTTPS or any(header in request.META for header in _FORWARDED):
        return False
    # A proxy on this machine that says nothing of itself still passes on the host it serves.
    host = request.get_host()
    if host not in _LOCAL_HOSTS and host.rpartition(":")[0] not in _LOCAL_HOSTS:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def read_mails(folder: Path) -> list[Mail]:
    """The newest mails of a folder, newest first."""
    try:
        files = sorted(folder.glob("*.log"), key=lambda f: f.stat().st_mtime_ns, reverse=True)
    except FileNotFoundError:
        return []
    found = [mail for file in files[:SHOWN] for mail in reversed(_parse(file))]
    return found[:SHOWN]


def _parse(file: Path) -> list[Mail]:
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return [
        _mail(part.strip(), written)
        for part in file.read_bytes().split(b"\n" + _RULE + b"\n")
        if part.strip()
    ]


def _mail(data: bytes, written: datetime) -> Mail:
    message = message_from_bytes(data, policy=policy.default)
    body = message.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    return Mail(str(message["To"]), str(message["Subject"]), written, text.strip())
