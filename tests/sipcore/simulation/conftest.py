"""How many seeds the random runs take."""

from __future__ import annotations

import os

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames and "size" in metafunc.fixturenames and metafunc.module.__name__.endswith("test_random"):
        one = os.environ.get("SIM_SEED")
        seeds = [int(one)] if one else range(int(os.environ.get("SIM_SEEDS", "200")))
        metafunc.parametrize("seed", seeds)
