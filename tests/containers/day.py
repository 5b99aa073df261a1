"""An operator's day with the containers. Each test leaves all services running, for the next one.

Run by `make containers`, in a network of its own; collected by no other run.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.containers.house import BACK_WITHIN_S, OURS, House, podman, wait_s
from tests.containers.mail import mail_server
from tests.support.browser import PASSWORD, Student, chromium, person, sign_up
from tests.support.campus import wait_for
from tests.support.ua import Address, Agent, Dialog, Timeout

SERVER: Final = "192.0.2.10"
HOSTS: Final = ("192.0.2.21", "192.0.2.22")
MAIL: Final = "192.0.2.30"
SIP_PORT: Final = 5170
"""Not SIP's own: what phones are told must be what is served."""
OUTAGE_S: Final = 60.0
MOST_MB: Final = 600
ALL: Final = ("sipd", "shipper", "worker", "beat", "web", "redis", "postgres")


class Phone(Agent):
    """A phone at an address of its own."""

    def __init__(self, host: str, server: Address, user: str, secret: str) -> None:
        self._host = host
        super().__init__(server, user, secret)

    def _open(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self._host, 0))
        return sock


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All services, with the settings that an operator must give."""
    folder = tmp_path_factory.mktemp("operator")
    password = folder / "database"
    password.write_text(secrets.token_hex(24) + "\n")
    password.chmod(0o644)  # a user inside the containers reads it
    settings = {
        "VOIP_ADVERTISE": SERVER,
        "VOIP_SIP_PORT": str(SIP_PORT),
        "VOIP_TLS_PORT": str(SIP_PORT + 1),
        "DATABASE_PASSWORD_FILE": str(password),
        "EMAIL_HOST": MAIL,
    }
    with mail_server(MAIL, 25, folder / "mail"):
        house = House(folder, settings)
        house.down()
        house.up()
        try:
            for name in house.services:
                if name != "prepare":
                    house.wait_until_healthy(name)
            yield house
        finally:
            house.down()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def phones(
    house: House, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Phone, Phone]]:
    """Two phones, set up with what the page says to two students who have signed up."""
    pictures = tmp_path_factory.mktemp("pictures")
    made = []
    for host, name in zip(HOSTS, ("Ada Lovelace", "Grace Hopper"), strict=True):
        foreign: list[str] = []
        with person(browser, house, foreign) as page:  # type: ignore[arg-type]
            student = Student(page, name, name.split()[0].lower())
            sign_up(house, student, pictures)  # type: ignore[arg-type]
        assert foreign == []
        server, port = student.server.rsplit(":", 1)
        made.append(Phone(host, (server, int(port)), student.username, student.secret))
    yield made[0], made[1]
    for phone in made:
        phone.close()


class Talk:
    """An answered call between the two."""

    def __init__(self, phones: tuple[Phone, Phone]) -> None:
        self.caller, self.callee = phones
        for phone in phones:
            phone.drain()
        self.calling = self.caller.invite(f"sip:{self.callee.user}@{self.callee.domain}")
        called = self.callee.ringing(call_id=self.calling.call_id)
        called.ring()
        self.calling.expect(180)
        self.at_callee: Dialog = called.answer()
        self.at_caller = self.calling.answered()
        self.callee.expect("ACK")

    @property
    def call_id(self) -> str:
        return self.calling.call_id

    def hang_up(self) -> None:
        """The caller's BYE, as often as a phone sends it; the other's 200 to it."""
        bye = self.at_caller.send("BYE")
        for _ in range(20):
            with suppress(Timeout):
                self.callee.respond(self.callee.expect("BYE", 0.5, call_id=self.call_id), 200, "OK")
            for repeat in [m for m in self.callee.repeats if m.method == "BYE"]:
                self.callee.respond(repeat, 200, "OK")
            self.callee.repeats.clear()
            with suppress(Timeout):
                assert self.caller.final(bye, 0.5).status == 200
                return
            self.caller.send(bye)
        raise Timeout(f"no answer to the BYE of {self.call_id}")


def test_two_who_signed_up_talk_and_the_portal_has_their_call(
    house: House, phones: tuple[Phone, Phone]
) -> None:
    caller, callee = (phone.registered() for phone in phones)
    assert caller.server == (SERVER, SIP_PORT)
    talk = Talk((caller, callee))
    talk.hang_up()
    row = house.call_row(talk.call_id)
    assert (row["cause"], row["ended_by"], row["node"]) == ("completed", "caller", "node1")


@pytest.fixture
def talk(house: House, phones: tuple[Phone, Phone]) -> Iterator[Talk]:
    """A call that was answered before the fault, and must end well after it."""
    talk = Talk((phones[0].registered(), phones[1].registered()))
    yield talk
    talk.hang_up()
    row = house.call_row(talk.call_id)
    assert (row["cause"], row["ended_by"]) == ("completed", "caller")


@pytest.mark.usefixtures("talk")
@pytest.mark.parametrize("name", ALL)
def test_a_service_that_is_killed_in_a_call_is_back(house: House, name: str) -> None:
    house.wait_until_back(name, house.kill(name))


@pytest.mark.usefixtures("talk")
@pytest.mark.parametrize("name", ALL)
def test_a_service_that_is_restarted_in_a_call_is_back(house: House, name: str) -> None:
    podman("stop", house.container(name))
    podman("start", house.container(name))
    house.wait_until_healthy(name)


def test_telephones_do_without_the_database_for_a_minute_in_which_sipd_is_killed(
    house: House, phones: tuple[Phone, Phone], talk: Talk
) -> None:
    since = time.monotonic()
    podman("stop", house.container("postgres"))
    house.wait_until_back("sipd", house.kill("sipd"))
    said = house.log("sipd")
    assert "degraded: directory" in said
    assert "The database cannot be used (" in said
    phones[0].registered()
    second = Talk(phones)
    second.hang_up()
    wait_s(OUTAGE_S - (time.monotonic() - since))
    podman("start", house.container("postgres"))
    house.wait_until_healthy("postgres")
    assert house.call_row(second.call_id, BACK_WITHIN_S)["cause"] == "completed"
    wait_for("health", lambda: house.healthz() == "ok", BACK_WITHIN_S, 0.5)


def test_without_redis_pages_answer_and_records_wait(
    house: House, browser: Browser, talk: Talk, phones: tuple[Phone, Phone]
) -> None:
    podman("stop", house.container("redis"))
    with person(browser, house, []) as page:  # type: ignore[arg-type]
        page.goto("/accounts/login/")
        page.locator("input[name=login]").fill("ada@campus.example")
        page.locator("input[type=password]").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"http://127.0.0.1:{house.web_port}/")
        page.goto("/people/?q=grace")
        assert "Grace Hopper" in page.content()
    wait_for("its name", lambda: "Redis cannot be reached" in house.healthz(), BACK_WITHIN_S, 0.5)
    second = Talk(phones)
    second.hang_up()
    podman("start", house.container("redis"))
    assert house.call_row(second.call_id, BACK_WITHIN_S)["cause"] == "completed"


@pytest.mark.usefixtures("talk")
def test_a_second_sipd_of_the_same_name_ends_with_a_sentence(house: House) -> None:
    code, said = house.run_beside("sipd")
    assert code == 1
    assert said.splitlines()[-1].startswith("node1 is running already (process ")
    assert house.is_healthy("sipd")


@pytest.mark.usefixtures("talk")
def test_an_update_loses_no_call(house: House) -> None:
    house.update()
    for name in ALL:
        house.wait_until_healthy(name)


def test_the_password_of_the_database_is_in_no_environment_of_ours(house: House) -> None:
    password = Path(house.settings["DATABASE_PASSWORD_FILE"]).read_text().strip()
    for name in OURS:
        environments = house.exec(name, "sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline")
        assert "DATABASE_PASSWORD_FILE" in environments, name
        assert password not in environments, name


def test_the_web_site_has_nothing_of_sipd(house: House) -> None:
    assert {"tls", "spool", "journal"} <= set(house.exec("sipd", "ls", "/var/lib/voip").split())
    for name in ("web", "worker", "beat"):
        found = house.exec(name, "find", "/var/lib/voip", "/tmp").split("\n")  # noqa: S108
        words = {word for path in found for word in path.split("/")}
        assert words & {"tls", "spool", "journal", "kept", "campus-ca.key"} == set(), name


def test_the_web_site_hands_out_the_authority_of_sipd_all_the_same(house: House) -> None:
    authority = house.exec("sipd", "cat", "/var/lib/voip/tls/authority/campus-ca.pem")
    assert house.page("/authority.crt") == authority


def test_sizes_and_memory(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed for `docs/operations.md`; a service that takes three times what it should is a fault."""
    with capsys.disabled():
        print(f"\nimage, above Python's: {house.image_mb():.0f} MB")
        for name in ALL:
            each = house.memory_mb(name)
            print(f"{name}: {' + '.join(f'{mb:.0f}' for mb in each)} MB")
            assert sum(each) < MOST_MB, name


def test_a_backup_restored_on_an_empty_machine_has_all_that_matters(
    house: House, phones: tuple[Phone, Phone], tmp_path: Path
) -> None:
    before = Talk((phones[0].registered(), phones[1].registered()))
    before.hang_up()
    row = house.call_row(before.call_id)
    authority = house.exec("sipd", "cat", "/var/lib/voip/tls/authority/campus-ca.key")
    house.backup(tmp_path)
    house.restore(tmp_path)
    for name in ALL:
        house.wait_until_healthy(name)
    assert house.exec("sipd", "cat", "/var/lib/voip/tls/authority/campus-ca.key") == authority
    assert house.call_row(before.call_id) == row
    after = Talk((phones[0].registered(), phones[1].registered()))
    after.hang_up()
    assert house.call_row(after.call_id)["cause"] == "completed"


def test_every_fault_of_the_day_was_a_sentence(house: House) -> None:
    for name in OURS:
        assert "Traceback" not in house.log(name), name
