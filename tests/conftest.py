"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from hub.testing.cluster import Kafka

# `dev` keeps the fast tests fast; CI looks harder.
settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let goldens be written anew, to be read in the diff."""
    parser.addoption("--update-golden", action="store_true", help="write the goldens anew; read the diff")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Run one real Kafka for all tests that need it."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as node:
        yield node
