"""Deployments for the tests over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.campus import BATCH, Campus
from tests.support.ua import Agent


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Campus:
    """A deployment that never runs: others are copies of it."""
    return Campus.new(tmp_path_factory.mktemp("prepared"), lines=BATCH)


@pytest.fixture(scope="session")
def campus(prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """The daemon alone, shared by all tests that leave it running."""
    with prepared.copy(tmp_path_factory.mktemp("campus")).start_sipd() as campus:
        yield campus


@pytest.fixture
def own_campus(prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """The daemon alone, for one test that stops or kills it."""
    with prepared.copy(tmp_path_factory.mktemp("own")).start_sipd() as campus:
        yield campus


@pytest.fixture
def phone(campus: Campus) -> Iterator[Callable[..., Agent]]:
    """Makes scripted phones, each with a line of its own unless told, and closes them."""
    made: list[Agent] = []

    def make(*args: object, **options: object) -> Agent:
        agent = campus.phone(*args, **options)  # type: ignore[arg-type]
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.close()
