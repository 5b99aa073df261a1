"""All nodes of a deployment have one authority, whose certificate the database has, and no key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.certificates import signed
from voip_portal.nodes.campus_authority import NoAuthority
from voip_portal.nodes.certificates import AUTHORITY, OWN
from voip_portal.nodes.models import Deployment
from voip_portal.nodes.one_authority import ensure_certificate
from voip_portal.nodes.services import ensure_deployment

pytestmark = pytest.mark.django_db
HOSTS = ["campus.example", "192.0.2.1"]


def published() -> str:
    return Deployment.objects.get(id=1).authority


@pytest.fixture(autouse=True)
def deployment() -> None:
    ensure_deployment()


def test_the_first_node_founds_it(tmp_path: Path) -> None:
    ensure_certificate(tmp_path, HOSTS)
    assert published() == (tmp_path / AUTHORITY).read_text()
    assert "PRIVATE" not in published()


def test_a_node_elsewhere_founds_no_second_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure_certificate(first, HOSTS)
    with pytest.raises(NoAuthority):
        ensure_certificate(second, HOSTS)
    assert not (second / OWN).exists()
    assert published() == (first / AUTHORITY).read_text()


def test_a_node_elsewhere_signs_by_the_key_it_was_given(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure_certificate(first, HOSTS)
    shutil.copytree(first / "authority", second / "authority")
    ensure_certificate(second, ["campus.example", "192.0.2.2"])
    assert (second / AUTHORITY).read_text() in (second / OWN).read_text()
    assert published() == (second / AUTHORITY).read_text()


def test_a_node_with_an_operators_certificate_needs_none(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure_certificate(first, HOSTS)
    second.mkdir()
    signed(None, "sip:campus.example").write(second / "default.pem")
    ensure_certificate(second, HOSTS)
    assert not (second / AUTHORITY).exists()


def test_a_node_with_an_authority_of_its_own_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure_certificate(second, HOSTS)
    Deployment.objects.update(authority="")  # as two nodes did before they knew of each other
    ensure_certificate(first, HOSTS)
    ensure_certificate(second, HOSTS)
    assert published() == (first / AUTHORITY).read_text()
    assert "is not the one of this deployment, so phones may refuse this node" in caplog.text


def test_where_the_key_is_lost_another_authority_is_made_on_demand_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure_certificate(first, HOSTS)
    ensure_certificate(second, HOSTS, anew=True)
    assert published() == (second / AUTHORITY).read_text() != (first / AUTHORITY).read_text()
