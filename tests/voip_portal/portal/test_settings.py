"""What the environment says, and that docs/configuration.md says the same."""

import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks

from voip_portal import environment as env

ROOT = Path(settings.BASE_DIR)


def test_every_variable_of_the_settings_is_documented() -> None:
    source = (ROOT / "voip_portal" / "settings.py").read_text()
    read = re.findall(r'(?:environ(?:\.get\(|\[)|env\.\w+\()"([A-Z_]+)"', source)
    documented = re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text())
    assert set(read) <= set(documented)
    assert len(set(read)) > 15


@pytest.mark.parametrize(
    ("https", "proxies", "warned"), [(True, 0, True), (True, 1, False), (False, 0, False)]
)
def test_https_without_a_trusted_proxy_is_warned_of(
    settings: Any, https: bool, proxies: int, warned: bool
) -> None:
    settings.VOIP_HTTPS, settings.ALLAUTH_TRUSTED_PROXY_COUNT = https, proxies
    found = [message for message in run_checks() if message.id == "portal.W001"]
    assert bool(found) is warned
    assert all("VOIP_TRUSTED_PROXIES" in message.hint for message in found)


@pytest.mark.parametrize(
    ("proxies", "networks", "warned"), [(1, "", True), (2, " , ", True), (1, "192.0.2.7", False), (0, "", False)]
)
def test_proxies_that_nobody_names_are_warned_of(
    settings: Any, proxies: int, networks: str, warned: bool
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT, settings.VOIP_PROXY_NETWORKS = proxies, networks
    found = [message for message in run_checks() if message.id == "portal.W002"]
    assert bool(found) is warned
    assert all("VOIP_PROXY_NETWORKS" in message.hint for message in found)


def test_sqlite_is_the_default_with_bindings_in_a_file_of_their_own(tmp_path: Path) -> None:
    found = env.databases("", tmp_path)
    assert found["default"]["NAME"] == str(tmp_path / "portal.sqlite3")
    assert found["bindings"]["NAME"] == str(tmp_path / "bindings.sqlite3")
    options = found["default"]["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20
    assert "journal_mode=WAL" in options["init_command"]
    assert "synchronous=NORMAL" in options["init_command"]
    assert not found["default"].get("ATOMIC_REQUESTS")


def test_a_sqlite_url_names_the_file(tmp_path: Path) -> None:
    found = env.databases("sqlite:////srv/a%20b/voip.db", tmp_path)
    assert found["default"]["NAME"] == "/srv/a b/voip.db"
    assert found["bindings"]["NAME"] == "/srv/a b/voip-bindings.db"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://anna:p%40ss@db.example:5433/voip",
            ("voip", "anna", "p@ss", "db.example", "5433"),
        ),
        ("postgresql://anna@[::1]/voip", ("voip", "anna", "", "::1", "")),
        ("postgres:///voip?host=/run/postgresql", ("voip", "", "", "/run/postgresql", "")),
    ],
)
def test_a_postgresql_url_has_one_database(
    tmp_path: Path, url: str, expected: tuple[str, ...]
) -> None:
    found = env.databases(url, tmp_path)
    assert list(found) == ["default"]
    keys = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
    assert tuple(found["default"][key] for key in keys) == expected
    assert "host" not in found["default"]["OPTIONS"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", {"connect_timeout": "5"}),
        (
            "?sslmode=verify-full&sslrootcert=/etc/ca%20x.pem&connect_timeout=2",
            {"sslmode": "verify-full", "sslrootcert": "/etc/ca x.pem", "connect_timeout": "2"},
        ),
    ],
)
def test_the_options_of_a_postgresql_url_are_the_drivers(
    tmp_path: Path, query: str, said: dict[str, str]
) -> None:
    found = env.databases(f"postgres://anna@db.example/voip{query}", tmp_path)
    assert found["default"]["OPTIONS"] == said


@pytest.mark.parametrize(
    ("url", "password"),
    [("postgres://anna@db.example/voip", "given"), ("postgres://anna:own@db.example/voip", "own")],
)
def test_a_password_is_given_beside_a_url_without_one(
    tmp_path: Path, url: str, password: str
) -> None:
    assert env.databases(url, tmp_path, "given")["default"]["PASSWORD"] == password


def test_another_scheme_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use postgres:// or sqlite://"):
        env.databases("mysql://x/y", tmp_path)


def test_a_secret_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    mounted = tmp_path / "mounted"
    mounted.write_text("from the file\n")
    monkeypatch.setenv("A_KEY_FILE", str(mounted))
    assert env.secret("A_KEY", tmp_path / "unused") == "from the file"
    monkeypatch.setenv("A_KEY", "direct")
    assert env.secret("A_KEY", tmp_path / "unused") == "direct"
    assert not (tmp_path / "unused").exists()


def test_a_password_is_read_and_never_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_WORD", raising=False)
    monkeypatch.delenv("A_WORD_FILE", raising=False)
    assert env.password("A_WORD") == ""
    mounted = tmp_path / "mounted"
    monkeypatch.setenv("A_WORD_FILE", str(mounted))
    with pytest.raises(FileNotFoundError):
        env.password("A_WORD")
    mounted.write_text("from the file\n")
    assert env.password("A_WORD") == "from the file"
    monkeypatch.setenv("A_WORD", "direct")
    assert env.password("A_WORD") == "direct"


def test_processes_that_start_at_once_agree_on_a_made_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    monkeypatch.delenv("A_KEY_FILE", raising=False)
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "key"
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(env.secret("A_KEY", path)))]
    threads[0].start()
    found.append(env.secret("A_KEY", path))
    threads[0].join()
    assert len(set(found)) == 1
    assert len(found[0]) > 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["key"]


@pytest.mark.parametrize(("text", "on"), [("1", True), ("Yes", True), ("0", False), ("", False)])
def test_switches(monkeypatch: pytest.MonkeyPatch, text: str, on: bool) -> None:
    monkeypatch.setenv("A_SWITCH", text)
    assert env.flag("A_SWITCH") is on
    monkeypatch.delenv("A_SWITCH")
    assert env.flag("A_SWITCH", default=True)


def test_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_WORDS", "a.example, b.example c.example")
    assert env.words("SOME_WORDS") == ["a.example", "b.example", "c.example"]
    assert env.words("NO_WORDS", "x y") == ["x", "y"]
