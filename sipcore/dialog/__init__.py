"""Dialog state for the servers that are user agents themselves (RFC 3261 §12)."""

from sipcore.dialog.uas import UasDialog

__all__ = ["UasDialog"]
