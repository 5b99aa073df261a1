"""SIPp, which knows no digest but MD5, with scenarios written here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which
from typing import Final

from tests.support.ports import free_port
from tests.support.wire import bracketed

TIMEOUT_S: Final = 30

REGISTER: Final = """<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="register">
  <send retrans="500"><![CDATA[

REGISTER sip:@SERVER@ SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[field0]@@SERVER@>;tag=[call_number]
To: <sip:[field0]@@SERVER@>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[field0]@[local_ip]:[local_port]>
Expires: 120
Content-Length: 0

  ]]></send>
  <recv response="401" auth="true"></recv>
  <send retrans="500"><![CDATA[

REGISTER sip:@SERVER@ SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[field0]@@SERVER@>;tag=[call_number]
To: <sip:[field0]@@SERVER@>
Call-ID: [call_id]
CSeq: 2 REGISTER
[field1]
Contact: <sip:[field0]@[local_ip]:[local_port]>
Expires: 120
Content-Length: 0

  ]]></send>
  <recv response="@FINAL@"></recv>
</scenario>
"""


def is_installed() -> bool:
    return which("sipp") is not None


def register(
    folder: Path,
    server: tuple[str, int],
    users: list[tuple[str, str]],
    *,
    final: int = 200,
    transport: str = "UDP",
    domain: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Register each (user, secret) once; the exit status is 0 when all got `final`.

    SIPp takes the first challenge whose algorithm it knows only when MD5 is the only one: the
    deployment under test must offer MD5 alone. Debian's SIPp has no TLS: it speaks TCP into a tunnel
    (`tests.support.tunnel`), and says TLS in its Vias.
    """
    scenario = REGISTER.replace("@FINAL@", str(final)).replace(
        "@SERVER@", domain or f"{bracketed(server[0])}:{server[1]}"
    )
    options = []
    if transport != "UDP":
        scenario = scenario.replace("[transport]", transport).replace(' retrans="500"', "")
        options = ["-t", "t1"]
    rows = [f"{user};[authentication username={user} password={secret}]" for user, secret in users]
    (folder / "users.csv").write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
    (folder / "register.xml").write_text(scenario)
    return subprocess.run(  # noqa: S603
        [
            which("sipp") or "sipp",
            f"{bracketed(server[0])}:{server[1]}",
            *options,
            *("-sf", str(folder / "register.xml"), "-inf", str(folder / "users.csv")),
            *("-m", str(len(users)), "-r", "50", "-i", server[0], "-p", str(free_port())),
            *("-timeout", str(TIMEOUT_S), "-timeout_error", "-nostdin"),
        ],
        cwd=folder,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT_S + 10,
    )
