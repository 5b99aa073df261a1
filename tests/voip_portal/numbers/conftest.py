"""Fixtures of these tests."""

from tests.voip_portal.people import *  # noqa: F403
