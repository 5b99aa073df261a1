"""baresip 1.0 as a phone: an ordinary softphone with real audio, driven over its control socket."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import wave
from array import array
from collections.abc import Callable
from math import pi, sin
from pathlib import Path
from shutil import which
from typing import Any, Final, Self

from tests.support.ports import free_port

PATIENCE_S: Final = 10.0
_MODULE_FOLDERS: Final = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")
Event = dict[str, Any]


def is_installed() -> bool:
    return which("baresip") is not None


class Baresip:
    """One phone in a folder of its own. `server` is what the portal's page tells a student.

    Over TLS it is told of `authority`, but baresip 1.0 registers at a server of another one too.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        secret: str,
        server: str,
        *,
        transport: str = "udp",
        answers: bool = False,
        authority: Path | None = None,
    ) -> None:
        self.folder = folder
        self.user = user
        self.events: list[Event] = []
        self._sip_port = free_port(2)  # baresip takes the next one for TLS
        self._control_port = free_port()
        self._rest = b""
        folder.mkdir(parents=True)
        self._write_files(secret, server, transport, answers, authority)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def _write_files(
        self, secret: str, server: str, transport: str, answers: bool, authority: Path | None
    ) -> None:
        mode = "auto" if answers else "manual"
        (self.folder / "accounts").write_text(
            f"<sip:{self.user}@{server};transport={transport}>"
            f";auth_pass={secret};answermode={mode};regint=120\n"
        )
        (self.folder / "contacts").touch()
        tone = self.folder / "tone.wav"
        write_tone(tone)
        modules = next((f for f in _MODULE_FOLDERS if Path(f).is_dir()), _MODULE_FOLDERS[0])
        rows = [
            f"sip_listen {'[::1]' if server.startswith('[') else '127.0.0.1'}:{self._sip_port}",
            f"audio_source aufile,{tone}",
            "ausrc_srate 8000",
            f"snd_path {self.folder}",
            f"module_path {modules}",
            *(f"module {name}.so" for name in ("g711", "aufile", "sndfile", "uuid")),
            "module_tmp account.so",
            "module_app menu.so",
            "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{self._control_port}",
        ]
        if authority is not None:
            rows.append(f"sip_cafile {authority}")
        (self.folder / "config").write_text("\n".join(rows) + "\n")

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [which("baresip") or "baresip", "-f", str(self.folder), "-s"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE_S
        while self._control is None:
            try:
                self._control = socket.create_connection(("127.0.0.1", self._control_port), 1)
            except OSError:
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __repr__(self) -> str:
        return f"<Baresip {self.user} {[e.get('type') for e in self.events]}>"

    def log(self) -> str:
        """What it printed, every SIP message included."""
        return (self.folder / "log").read_text(errors="replace")

    # --- control ---------------------------------------------------------------------------
    def command(self, name: str, parameters: str = "") -> None:
        """Do as somebody at the phone would: dial, accept, hangup, …"""
        assert self._control is not None
        data = json.dumps({"command": name, "params": parameters, "token": "t"}).encode()
        self._control.sendall(b"%d:%b," % (len(data), data))

    def dial(self, who: str) -> None:
        """Dial a name or number, or a whole URI."""
        self.command("dial", who)

    def expect(self, kind: str, timeout: float = PATIENCE_S) -> Event:
        """Wait for an event that was not asked for before: CALL_ESTABLISHED, CALL_CLOSED, …"""
        return self.expect_that(lambda event: event.get("type") == kind, kind, timeout)

    def expect_that(
        self, wanted: Callable[[Event], bool], what: str, timeout: float = PATIENCE_S
    ) -> Event:
        """Wait for an event; those before it stay for later."""
        deadline = time.monotonic() + timeout
        while True:
            for index, event in enumerate(self.events):
                if wanted(event):
                    return self.events.pop(index)
            left = deadline - time.monotonic()
            assert left > 0, f"{self!r}: no {what} in {timeout} s\n{self.log()[-3000:]}"
            self._receive(left)

    def wait_until_registered(self, timeout: float = PATIENCE_S) -> None:
        """Its registration may be older than our connection, so the log is asked as well."""
        deadline = time.monotonic() + timeout
        while "SIP/2.0 200 " not in self.log():
            assert time.monotonic() < deadline, f"{self.user} not registered:\n{self.log()}"
            time.sleep(0.05)

    def heard(self) -> int:
        """How many samples of the other side's tone it has recorded, silence left out."""
        found = 0
        for path in self.folder.glob("dump-*-dec.wav"):
            data = path.read_bytes()[44:]
            samples = array("h", data[: len(data) // 2 * 2])
            found += sum(1 for sample in samples if abs(sample) > 1000)
        return found

    def _receive(self, timeout: float) -> None:
        assert self._control is not None
        self._control.settimeout(timeout)
        try:
            self._rest += self._control.recv(65_536)
        except TimeoutError:
            return
        while b":" in self._rest:
            length, _, rest = self._rest.partition(b":")
            if len(rest) <= int(length):
                return
            self._rest = rest[int(length) + 1 :]
            message = json.loads(rest[: int(length)])
            if message.get("event"):
                self.events.append(message)


def write_tone(path: Path) -> None:
    """One second of 440 Hz, 8 kHz, 16 bits, mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        samples = (int(8000 * sin(2 * pi * 440 * n / 8000)) for n in range(8000))
        file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
