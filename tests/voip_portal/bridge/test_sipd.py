"""The real daemon: what is changed in the database is in force within a second."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.ports import free_port
from tests.voip_portal.bridge.daemon import ROOT, Deployment, Phone, stop, until
from voip_portal.bridge.keeper import HEARTBEAT_S
from voip_portal.lines.services import ha1
from voip_portal.nodes.certificates import AUTHORITY

pytestmark = [pytest.mark.sql, pytest.mark.xdist_group("daemon")]
IN_FORCE_S = 1.0


@pytest.fixture(scope="module")
def sipd(deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    process = deployment.start_sipd()
    try:
        until(lambda: deployment.in_force() == deployment.version(), 5)
        yield process
    finally:
        stop(process)
    assert process.returncode == 0


@pytest.fixture
def phone(deployment: Deployment) -> Iterator[Phone]:
    made = Phone(deployment.port)
    yield made
    made.close()


@pytest.mark.usefixtures("sipd")
def test_new_line_can_register_within_a_second(deployment: Deployment, phone: Phone) -> None:
    assert phone.register("anna", "secret 1") != 200
    deployment.add_line("anna", "secret 1", "20001")
    assert until(lambda: phone.register("anna", "secret 1") == 200, 5) < IN_FORCE_S
    assert deployment.in_force() == deployment.version()


@pytest.mark.usefixtures("sipd")
def test_suspended_line_cannot_register_within_a_second(
    deployment: Deployment, phone: Phone
) -> None:
    line = deployment.add_line("boris", "secret 2", "20002")
    until(lambda: phone.register("boris", "secret 2") == 200, 5)
    deployment.database.execute("UPDATE lines_line SET state = 'suspended' WHERE id = ?", (line,))
    assert until(lambda: phone.register("boris", "secret 2") != 200, 5) < IN_FORCE_S


@pytest.mark.usefixtures("sipd")
def test_what_makes_no_sense_is_refused_whole_and_told(
    deployment: Deployment, phone: Phone
) -> None:
    db = deployment.database
    line = deployment.add_line("clara", "secret 3", "20003")
    until(lambda: phone.register("clara", "secret 3") == 200, 5)
    good = deployment.version()
    until(lambda: deployment.in_force() == good, 2)
    with db.transaction():
        db.execute("UPDATE lines_line SET state = 'dancing' WHERE id = ?", (line,))
        db.execute(
            "UPDATE lines_device SET revoked_at = CURRENT_TIMESTAMP WHERE line_id = ?", (line,)
        )

    def refused() -> tuple[int | None, str]:
        rows = db.query("SELECT refused_version, refused_why FROM nodes_node WHERE name = 'node1'")
        return rows[0][0], rows[0][1]

    assert until(lambda: refused()[0] == deployment.version(), 5) < IN_FORCE_S
    assert "dancing" in refused()[1]
    assert deployment.in_force() == good
    assert phone.register("clara", "secret 3") == 200  # the last good directory
    db.execute("UPDATE lines_line SET state = 'active' WHERE id = ?", (line,))
    until(lambda: deployment.in_force() == deployment.version(), 2)
    assert refused() == (None, "")
    assert phone.register("clara", "secret 3") != 200  # and now the revoked device is


@pytest.mark.usefixtures("sipd")
def test_what_is_dropped_is_counted_in_the_heartbeat(deployment: Deployment) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(20):
            sock.sendto(b"this is no SIP, whatever it is", ("127.0.0.1", deployment.port))

    def malformed() -> int:
        [(counts,)] = deployment.database.query(
            "SELECT counts FROM nodes_node WHERE name = 'node1'"
        )
        told = json.loads(counts) if isinstance(counts, str) else counts
        assert set(told) == {"latest", "total"}
        return int(told["total"].get("malformed", 0))

    until(lambda: malformed() == 20, 2 * HEARTBEAT_S)


@pytest.mark.usefixtures("sipd")
def test_phones_are_told_the_port_that_is_served_whatever_the_web_site_was_told(
    deployment: Deployment,
) -> None:
    assert deployment.environment["VOIP_SIP_PORT"] != str(deployment.port)
    tell = "from voip_portal.portal.server import server; print(server().address)"
    told = subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", tell],
        cwd=ROOT,
        env=deployment.environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert told.stdout == f"127.0.0.1:{deployment.port}\n"


@pytest.mark.usefixtures("sipd")
def test_the_authority_that_phones_install_is_in_the_database(deployment: Deployment) -> None:
    [(pem,)] = deployment.database.query("SELECT authority FROM nodes_deployment")
    assert pem == (deployment.folder / "tls" / AUTHORITY).read_text()
    [(is_own,)] = deployment.database.query("SELECT own_authority FROM nodes_node")
    assert bool(is_own)


@pytest.mark.usefixtures("sipd")
def test_new_secret_takes_the_place_of_the_old_within_a_second(
    deployment: Deployment, phone: Phone
) -> None:
    db = deployment.database
    deployment.add_line("dora", "secret 4", "20004")
    until(lambda: phone.register("dora", "secret 4") == 200, 5)
    realm = db.query("SELECT realm FROM nodes_deployment")[0][0]
    db.execute(
        "UPDATE lines_devicesecret SET ha1_md5 = ? WHERE id = (SELECT d.id FROM lines_device d"
        " JOIN lines_line l ON l.id = d.line_id WHERE l.username = 'dora')",
        (ha1("md5", "dora", realm, "secret 5"),),
    )
    assert until(lambda: phone.register("dora", "secret 5") == 200, 5) < IN_FORCE_S
    assert phone.register("dora", "secret 4") != 200


@pytest.mark.usefixtures("sipd")
def test_a_second_node_of_the_same_name_ends_at_once_and_says_so(
    deployment: Deployment, phone: Phone
) -> None:
    """It has other ports, so that nothing but the name is in its way."""
    deployment.add_line("ylva", "secret 12", "20012")
    until(lambda: phone.register("ylva", "secret 12") == 200, 5)
    spools = sorted((deployment.folder / "spool").iterdir())
    journal = (deployment.folder / "journal" / "node1-0.jsonl").stat().st_ino
    second = subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", "sipd", "--port", str(free_port(2))],
        cwd=ROOT,
        env=deployment.environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    [sentence] = second.stderr.splitlines()
    assert sentence.startswith("node1 is running already (process ")
    assert sentence.endswith("): stop that one, or give this one another VOIP_NODE.")
    assert sorted((deployment.folder / "spool").iterdir()) == spools
    assert (deployment.folder / "journal" / "node1-0.jsonl").stat().st_ino == journal
    assert phone.register("ylva", "secret 12") == 200


def test_missing_trigger_stops_the_start(deployment: Deployment) -> None:
    name, on = "changes_on_lines_line_insert", ""
    if deployment.database.is_postgresql:
        name, on = "changes_on_lines_line_row", " ON lines_line"
    deployment.database.execute(f"DROP TRIGGER {name}{on}")
    process = deployment.start("sipd", "--node", "other", "--port", "0")
    assert process.wait(20) != 0
    deployment.manage("migrate", "--verbosity", "0")


@pytest.mark.usefixtures("sipd")
def test_another_registrars_phones_are_served_within_a_second_and_no_more_after_another(
    deployment: Deployment,
) -> None:
    db, phone = deployment.database, Phone(deployment.port, patience_s=0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as registrar:
        registrar.bind(("127.0.0.1", 0))
        registrar.settimeout(0.05)

        def passes() -> bool:
            phone.ask("REGISTER", "sip:far.example", "carl")
            try:
                return registrar.recv(4096).startswith(b"REGISTER")
            except TimeoutError:
                return False

        uri = f"sip:127.0.0.1:{registrar.getsockname()[1]}"
        edge = ("far.example", uri)
        db.execute("INSERT INTO peers_edge (domain, registrar) VALUES (?, ?)", edge)
        assert until(passes, 5) < IN_FORCE_S
        db.execute("DELETE FROM peers_edge")
        assert until(lambda: not passes() and not passes(), 5) < IN_FORCE_S
    phone.close()
