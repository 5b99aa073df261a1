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

_HEAD: Final = """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[field0]@@SERVER@>;tag=[call_number]
To: <sip:@CALLEE@@@SERVER@>[peer_tag_param]
Call-ID: [call_id]"""
_BODY: Final = """Contact: <sip:[field0]@[local_ip]:[local_port];transport=[transport]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""
CALL: Final = f"""<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="call">
  <send retrans="500"><![CDATA[

INVITE sip:@CALLEE@@@SERVER@ SIP/2.0
{_HEAD}
CSeq: 1 INVITE
{_BODY}
  ]]></send>
  <recv response="407" auth="true"></recv>
  <send><![CDATA[

ACK sip:@CALLEE@@@SERVER@ SIP/2.0
{_HEAD}
CSeq: 1 ACK
Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[

INVITE sip:@CALLEE@@@SERVER@ SIP/2.0
{_HEAD.replace("[peer_tag_param]", "")}
CSeq: 2 INVITE
[field1]
{_BODY}
  ]]></send>
  <recv response="100" optional="true"></recv>
  <recv response="180" optional="true"></recv>
  <recv response="200" rrs="true"></recv>
  <send><![CDATA[

ACK [next_url] SIP/2.0
{_HEAD}
[routes]
CSeq: 2 ACK
Content-Length: 0

  ]]></send>
  <pause milliseconds="300"/>
  <send retrans="500"><![CDATA[

BYE [next_url] SIP/2.0
{_HEAD}
[routes]
CSeq: 3 BYE
Content-Length: 0

  ]]></send>
  <recv response="200"></recv>
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
    return _run(folder, REGISTER.replace("@FINAL@", str(final)), server, users, transport, domain)


def call(
    folder: Path,
    server: tuple[str, int],
    users: list[tuple[str, str]],
    callee: str,
    *,
    transport: str = "UDP",
    domain: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Have each (user, secret) call somebody who answers, and hang up; the rest as `register`."""
    return _run(folder, CALL.replace("@CALLEE@", callee), server, users, transport, domain)


def _run(
    folder: Path,
    scenario: str,
    server: tuple[str, int],
    users: list[tuple[str, str]],
    transport: str,
    domain: str,
) -> subprocess.CompletedProcess[bytes]:
    scenario = scenario.replace("@SERVER@", domain or f"{bracketed(server[0])}:{server[1]}")
    options = []
    if transport != "UDP":
        scenario = scenario.replace("[transport]", transport).replace(' retrans="500"', "")
        options = ["-t", "t1"]
    rows = [f"{user};[authentication username={user} password={secret}]" for user, secret in users]
    (folder / "users.csv").write_text("SEQUENTIAL\n" + "\n".join(rows) + "\n")
    (folder / "scenario.xml").write_text(scenario)
    return subprocess.run(  # noqa: S603
        [
            which("sipp") or "sipp",
            f"{bracketed(server[0])}:{server[1]}",
            *options,
            *("-sf", str(folder / "scenario.xml"), "-inf", str(folder / "users.csv")),
            *("-m", str(len(users)), "-r", "50", "-i", server[0], "-p", str(free_port())),
            *("-timeout", str(TIMEOUT_S), "-timeout_error", "-nostdin"),
        ],
        cwd=folder,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT_S + 10,
    )
