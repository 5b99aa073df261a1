"""Static files by names that say what is in them, compressed once: kept by browsers for good.

`manage.py collect` writes them into `STATIC_ROOT` at the start of a deployment. Where that has not been done
(a test, a first look) files are served under their plain names from where they lie.
"""

from __future__ import annotations

from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """WhiteNoise's, without an error for what was not collected."""

    manifest_strict = False

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        try:
            return str(super().hashed_name(name, content, filename))
        except ValueError:  # not collected
            return name
