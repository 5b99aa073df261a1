"""The database backend of the embedded deployment: see `voip_portal.embedded.made`."""

from __future__ import annotations

from typing import Any

from django.db.backends.sqlite3 import base
from django.utils.asyncio import async_unsafe

from voip_portal.embedded import made


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, for the file that OPTIONS names as `only`; tests have others, with no such care."""

    _opened: made.Identity | None = None

    @property
    def _path(self) -> str:
        only = str(self.settings_dict["OPTIONS"].get("only", ""))
        return only if only == str(self.settings_dict["NAME"]) else ""

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters.pop("only", None)
        return parameters

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Open it, unless it is gone."""
        if not self._path:
            return super().get_new_connection(conn_params)
        with self.wrap_database_errors:
            made.check(self._path)
        connection = super().get_new_connection(conn_params)
        made.note(self._path)
        self._opened = made.identity(self._path)
        return connection

    def close_if_unusable_or_obsolete(self) -> None:
        """At the beginning and end of each request: close one whose file was removed or replaced."""
        path = self._path
        is_open = path and self.connection is not None and not self.in_atomic_block
        if is_open and made.identity(path) != self._opened:
            self.close()
        super().close_if_unusable_or_obsolete()
