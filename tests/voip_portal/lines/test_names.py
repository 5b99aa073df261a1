import pytest

from voip_portal.lines import names


@pytest.mark.parametrize("name", ["anna", "anna.berg", "a1b", "x-y_z", "a" * 32])
def test_ordinary_names_are_well_formed(name: str) -> None:
    assert names.is_well_formed(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "1anna",
        "20000",
        "anna.",
        ".anna",
        "an..na",
        "anna berg",
        "änna",
        "a" * 33,
        "a@b",
        "Anna",
        "anna\n",
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert not names.is_well_formed(name)


@pytest.mark.parametrize(
    "name", ["admin", "adm1n", "ech0", "echo", "sos", "s0s", "ad-min", "helpdesk", "help.desk"]
)
def test_names_of_services_and_their_look_alikes_are_reserved(name: str) -> None:
    assert names.is_reserved(name)


@pytest.mark.parametrize("name", ["anna", "echoes", "adminna", "sosan"])
def test_longer_names_are_free(name: str) -> None:
    assert not names.is_reserved(name)


def test_every_reserved_name_is_reserved_by_its_own_skeleton() -> None:
    assert all(names.is_reserved(name) for name in names.RESERVED)
