"""Flow and path as JSON text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.bindings import flow_from_json, flow_to_json, path_from_json, path_to_json
from sipcore.transport.flow import Flow

addresses = st.tuples(st.text(max_size=30), st.integers(0, 65535))
flows = st.builds(
    Flow, st.sampled_from(["UDP", "TCP", "TLS"]), addresses, addresses, st.integers(0, 2**40)
)


@given(flows)
def test_flow_comes_back(flow: Flow) -> None:
    assert flow_from_json(flow_to_json(flow)) == flow


@given(st.lists(st.text(max_size=30)).map(tuple))
def test_path_comes_back(path: tuple[str, ...]) -> None:
    assert path_from_json(path_to_json(path)) == path


def test_none_is_empty_text() -> None:
    assert flow_to_json(None) == path_to_json(()) == ""
    assert flow_from_json("") is None
    assert path_from_json("") == ()


@pytest.mark.source
def test_local_address_is_one_object_for_all_bindings() -> None:
    text = '["UDP",["192.0.2.1",5060],["198.51.100.7",3072],0]'
    first, second = flow_from_json(text), flow_from_json(text)
    assert first is not None
    assert second is not None
    assert first.local is second.local


@pytest.mark.parametrize("text", ["{", "1", "[]", '["UDP",["h"],["h",1],0]', '["UDP",1,2,3]'])
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        flow_from_json(text)


@pytest.mark.parametrize("text", ["{", "1", "[1]", '"x"'])
def test_path_of_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        path_from_json(text)
