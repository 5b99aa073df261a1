"""Collect the static files, unless they are what they were when that was done last."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """`manage.py collect`: may be run at every start."""

    help = "Collect the static files, hashed and compressed, if any has changed."

    def handle(self, *args: Any, **options: Any) -> None:
        mark = Path(settings.STATIC_ROOT) / ".collected"
        found = fingerprint()
        if mark.exists() and mark.read_text() == found:
            return
        try:
            call_command("collectstatic", interactive=False, verbosity=0)
            mark.write_text(found)
        except OSError as error:  # a full disk stops nothing: files are served as they lie
            self.stderr.write(f"Static files could not be compressed: {error}")


def fingerprint() -> str:
    """Of names, sizes and times of all static files."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = Path(storage.path(path)).stat()
            digest.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
