"""Two pjsua2 accounts as a program: the one watches the other's presence, over a transport each.

`python -m tests.support.presence TRANSPORT HOST PORT USER SECRET OTHER SECRET DOMAIN AUTHORITY`: the
first is on TRANSPORT, the second on UDP. It writes one JSON object: what the first has learnt.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.pjsua import PATIENCE_S


def watch(
    transport: str,
    servers: tuple[tuple[str, int], tuple[str, int]],
    watcher: tuple[str, str],
    watched: tuple[str, str],
    authority: Path,
) -> dict[str, Any]:
    """Have it watched; `servers` are those of the first and of the second."""
    (host, port), (_, udp_port) = servers
    arguments = [transport, host, str(port), str(udp_port), *watcher, *watched, str(authority)]
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
    transport: str, host: str, port: str, udp_port: str, *rest: str
) -> int:
    import pjsua2 as pj

    user, secret, other, other_secret, authority = rest
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = config.logConfig.consoleLevel = 4
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    kinds = {
        "udp": pj.PJSIP_TRANSPORT_UDP,
        "tcp": pj.PJSIP_TRANSPORT_TCP,
        "tls": pj.PJSIP_TRANSPORT_TLS,
    }
    transports = {}
    for kind in {transport, "udp"}:
        of_kind = pj.TransportConfig()
        of_kind.boundAddress = of_kind.publicAddress = host
        if kind == "tls":
            of_kind.tlsConfig.CaListFile = authority
            of_kind.tlsConfig.verifyServer = True
        transports[kind] = endpoint.transportCreate(kinds[kind], of_kind)
    endpoint.libStart()

    said: dict[str, Any] = {"registered": {}, "states": [], "statuses": []}

    class Account(pj.Account):  # type: ignore[misc]
        def onRegState(self, prm: Any) -> None:
            said["registered"][self.getInfo().uri] = prm.code

    class Buddy(pj.Buddy):  # type: ignore[misc]
        def onBuddyState(self) -> None:
            info = self.getInfo()
            said["states"].append(info.subStateName)
            said["statuses"].append(info.presStatus.statusText)

    def wait(until: Any, seconds: float = PATIENCE_S) -> None:
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            endpoint.libHandleEvents(20)

    def account(name: str, password: str, kind: str, to: str) -> Account:
        parameter = "" if kind == "udp" else f";transport={kind}"
        made = pj.AccountConfig()
        made.idUri = f"sip:{name}@{host}:{to}"
        made.regConfig.registrarUri = f"sip:{host}:{to}{parameter}"
        made.sipConfig.transportId = transports[kind]
        made.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", name, 0, password))
        made.presConfig.publishEnabled = False
        created = Account()
        created.create(made)
        return created

    watcher, watched = (
        account(user, secret, transport, port),
        account(other, other_secret, "udp", udp_port),
    )
    wait(lambda: len(said["registered"]) == 2)
    online = pj.PresenceStatus()
    online.status = pj.PJSUA_BUDDY_STATUS_ONLINE
    watched.setOnlineStatus(online)
    parameter = "" if transport == "udp" else f";transport={transport}"
    buddy_config = pj.BuddyConfig()
    buddy_config.uri = f"sip:{other}@{host}:{port}{parameter}"
    buddy_config.subscribe = True
    buddy = Buddy()
    buddy.create(watcher, buddy_config)
    wait(lambda: "Online" in said["statuses"])
    away = pj.PresenceStatus()
    away.status = pj.PJSUA_BUDDY_STATUS_OFFLINE
    watched.setOnlineStatus(away)
    wait(lambda: "Offline" in said["statuses"])
    buddy.subscribePresence(False)
    wait(lambda: said["states"][-1:] == ["TERMINATED"], 3.0)
    del buddy
    watcher.shutdown()
    watched.shutdown()
    endpoint.libDestroy()
    sys.stdout.write(f"{json.dumps(said)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
