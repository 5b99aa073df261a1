"""A DNS server of the test's own: NSD, authoritative for the zones it is given, on the loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port

PATIENCE_S = 10.0
SOA = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 {negative_ttl}\n@ IN NS ns\nns IN A 127.0.0.1\n"


class Nsd:
    """`zones` are the records of each zone, in the form of a zone file, without SOA and NS."""

    def __init__(self, folder: Path, zones: dict[str, str], *, negative_ttl: int = 60) -> None:
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            "server:",
            f"  ip-address: 127.0.0.1@{self.port}",
            '  username: ""',
            "  server-count: 1",
            '  database: ""',
            f'  zonesdir: "{folder}"',
            *[f'  {name}: "{folder / name}"' for name in ("pidfile", "xfrdfile", "zonelistfile")],
            f'  logfile: "{folder / "log"}"',
            "remote-control:",
            "  control-enable: no",
        ]
        for name, records in zones.items():
            lines += ["zone:", f"  name: {name}", f"  zonefile: {name}.zone"]
            if records:
                text = SOA.format(negative_ttl=negative_ttl) + records
                (folder / f"{name}.zone").write_text(f"$ORIGIN {name}.\n{text}\n")
        (folder / "nsd.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Nsd:
        program = shutil.which("nsd") or "/usr/sbin/nsd"
        self._process = subprocess.Popen(  # noqa: S603
            [program, "-d", "-c", str(self._folder / "nsd.conf")], stdin=subprocess.DEVNULL
        )
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    def _wait(self) -> None:
        """Until it answers anything at all."""
        query = bytes.fromhex("abcd00000001000000000000026e730000010001")
        deadline = time.monotonic() + PATIENCE_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            probe.connect(self.address)
            while time.monotonic() < deadline:
                try:
                    probe.send(query)
                    probe.recv(512)
                except OSError:  # not yet
                    time.sleep(0.02)
                else:
                    return
        log = self._folder / "log"
        raise RuntimeError(f"nsd does not answer: {log.read_text() if log.exists() else 'no log'}")
