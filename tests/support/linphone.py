"""Linphone's daemon as a phone, driven over its standard input. Nobody has to have it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Final, Self

from tests.support.campus import wait_for
from tests.support.ports import free_port

PATIENCE_S: Final = 15.0


def is_installed() -> bool:
    return which("linphone-daemon") is not None


class Linphone:
    """One phone in a folder of its own. Over TLS it trusts whom `authority` has signed for."""

    def __init__(
        self,
        folder: Path,
        user: str,
        secret: str,
        server: str,
        *,
        transport: str = "udp",
        authority: Path | None = None,
    ) -> None:
        self.folder = folder
        self.user = user
        self._process: subprocess.Popen[bytes] | None = None
        # Without these two folders it never begins to talk to anybody.
        for name in (".local/share/linphone", ".config/linphone"):
            (folder / name).mkdir(parents=True)
        rows = [
            "[sip]",
            f"sip_port={free_port()}",
            "sip_tcp_port=0",
            f"sip_tls_port={free_port() if transport == 'tls' else 0}",
            "bind_address=127.0.0.1",
            "default_proxy=0",
            *([f"root_ca={authority}", "verify_server_certs=1"] if authority else []),
            "[rtp]",
            f"audio_rtp_port={free_port(2)}",
            "[proxy_0]",
            f"reg_proxy=<sip:{server};transport={transport}>",
            f"reg_identity=sip:{user}@{server}",
            "reg_expires=120",
            "reg_sendregister=1",
            "[auth_info_0]",
            f"username={user}",
            f"passwd={secret}",
            "realm=*",
        ]
        (folder / "rc").write_text("\n".join(rows) + "\n")

    def __enter__(self) -> Self:
        command = ["linphone-daemon", "--config", "rc", "--log", "log", "--disable-stats-events"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**environment, "HOME": str(self.folder)},
                cwd=self.folder,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        try:  # asked to: a signal would end it without leaving
            self._process.communicate(b"quit\n", PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def command(self, text: str) -> None:
        """A line for the daemon: `call sip:…`, `terminate 1`, …"""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        self._process.stdin.flush()

    def expect(self, event: str) -> None:
        """Wait until it has told of this, LinphoneCallStreamsRunning or another."""
        out = self.folder / "out"
        wait_for(
            f"{event} of {self.user}",
            lambda: f"Event: {event}\n" in out.read_text(errors="replace"),
            PATIENCE_S,
        )

    def credentials(self, method: str) -> list[str]:
        """The Authorization of each of its requests of a method; "" for those without."""
        log = (self.folder / "log").read_text(errors="replace")
        requests = re.findall(
            rf"^{method} sip:\S+ SIP/2\.0\n(.*?)\n\n", log, re.DOTALL | re.MULTILINE
        )
        found = (
            re.search(r"^(?:Proxy-)?Authorization:\s*(.*)$", r, re.MULTILINE) for r in requests
        )
        return [each[1] if each else "" for each in found]
