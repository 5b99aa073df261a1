"""A pjsua2 phone as a program: it registers over TLS, calls somebody, and hangs up.

`python -m tests.support.pjsua HOST PORT USER SECRET CALLEE AUTHORITY [IDENTITY]` writes one JSON object:
what became of the registration and of the call, which is from IDENTITY where one is given. It ends
with 1 when anything took too long.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tests.support.wire import bracketed

PATIENCE_S: Final = 15.0
TALK_S: Final = 1.0


def is_installed() -> bool:
    """There are wheels for Python 3.11 and 3.12."""
    return find_spec("pjsua2") is not None


def call(
    server: tuple[str, int],
    user: str,
    secret: str,
    callee: str,
    authority: Path,
    identity: str = "",
) -> dict[str, Any]:
    """Have the phone do what it does; what it wrote. `identity`: whom the call says to be from."""
    arguments = [server[0], str(server[1]), user, secret, callee, str(authority), identity]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", __name__, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    written: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return written


def main(
    host: str, port: str, user: str, secret: str, callee: str, authority: str, identity: str = ""
) -> int:
    import pjsua2 as pj

    server = f"{bracketed(host)}:{port}"
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = config.logConfig.consoleLevel = 4
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    transport = pj.TransportConfig()
    transport.tlsConfig.CaListFile = authority
    transport.tlsConfig.verifyServer = True
    kind = pj.PJSIP_TRANSPORT_TLS6 if ":" in host else pj.PJSIP_TRANSPORT_TLS
    transport_id = endpoint.transportCreate(kind, transport)
    endpoint.libStart()

    said: dict[str, Any] = {"registered": 0, "states": [], "status": 0}

    class Account(pj.Account):  # type: ignore[misc]
        def onRegState(self, prm: Any) -> None:
            said["registered"] = prm.code

    class Call(pj.Call):  # type: ignore[misc]
        def onCallState(self, prm: Any) -> None:
            info = self.getInfo()
            said["states"].append(info.stateText)
            said["status"] = info.lastStatusCode

    def wait(until: Any, seconds: float = PATIENCE_S) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            endpoint.libHandleEvents(20)

    account_config = pj.AccountConfig()
    account_config.idUri = f"sip:{user}@{server}"
    account_config.regConfig.registrarUri = f"sip:{server};transport=tls"
    account_config.sipConfig.transportId = transport_id
    account_config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, secret))
    if ":" in host:
        # Media stays on IPv4, and addresses are not rewritten: the library was built without IPv6
        # but for its transports, and gives up where it looks into an address.
        account_config.natConfig.contactRewriteUse = 0
        account_config.natConfig.viaRewriteUse = 0
        account_config.natConfig.sdpNatRewriteUse = 0
    account = Account()
    account.create(account_config)
    wait(lambda: said["registered"])
    calling = account
    if identity:
        calling = Account()
        account_config.idUri = identity
        account_config.regConfig.registerOnAdd = False
        calling.create(account_config)
    phone_call = Call(calling)
    phone_call.makeCall(f"sip:{callee}@{server};transport=tls", pj.CallOpParam(True))
    wait(lambda: "CONFIRMED" in said["states"] or "DISCONNECTED" in said["states"])
    wait(lambda: False, TALK_S)
    if "CONFIRMED" in said["states"]:
        phone_call.hangup(pj.CallOpParam())
    wait(lambda: "DISCONNECTED" in said["states"])
    del phone_call
    account.shutdown()
    endpoint.libDestroy()
    sys.stdout.write(f"{json.dumps(said)}\n")
    return 0 if "DISCONNECTED" in said["states"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
