"""Dialogs for services that are user agents themselves (RFC 3261 §12)."""

from sipcore.dialog.own import OwnDialog

__all__ = ["OwnDialog"]
