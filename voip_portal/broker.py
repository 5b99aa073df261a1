"""The embedded broker: messages as files in a folder, for a machine without Redis.

kombu's own file transport makes a message's file first and fills it afterwards. A worker that looks
between the two takes an empty message, fails on it and ends, and the message is gone. Here a file
appears under its name when it is whole. Which transport is used stands in `settings`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils import json

SCHEME = "files"
"""Of the broker's URL: `files://`."""


class Channel(filesystem.Channel):
    """Writes each message under another name and renames it when it is whole."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        # The names sort by time: that is the order in which they are taken.
        name = f"{time.time_ns():020d}_{uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        unfinished = folder / f".{name}.part"
        unfinished.write_bytes(json.dumps(payload).encode())  # type: ignore[no-untyped-call]
        unfinished.rename(folder / name)


class Transport(filesystem.Transport):
    """`filesystem`, with whole messages only."""

    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
