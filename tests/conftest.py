"""What all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
from databases import store_in
from hypothesis import settings

from hub.store import Store
from hub.testing.cluster import Kafka
from hub.testing.postgres import Postgres

# What tests import stays: to look through all of it for what can be forgotten is a tenth of their time.
gc.set_threshold(700, 10, 1000)

# `fast` is what `make fast` asks for; CI looks harder than `make test`.
settings.register_profile("fast", max_examples=5, deadline=None)
settings.register_profile("dev", max_examples=20, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Run what kills processes one after the other; said before xdist asks, which it does before this file's hooks."""
    if item.get_closest_marker("kill"):
        item.add_marker(pytest.mark.xdist_group("kill"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what kills processes: everything else fits beside it."""
    items.sort(key=lambda item: item.get_closest_marker("kill") is None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run one PostgreSQL for all tests that need it."""
    with Postgres() as server:
        # Whoever asks for a database gets a copy of one that has its tables.
        with psycopg.connect(plain_url(server.url), autocommit=True) as connection:
            connection.execute("CREATE DATABASE model")
        store = Store(server.database("model"))
        store.migrate()
        store.close()
        yield server


@pytest.fixture(scope="session")
def fresh_postgres(postgres: Postgres) -> Callable[[], str]:
    """Return what makes a database of its own, with the hub's tables, and gives its URL."""

    def make() -> str:
        name = f"hub_{uuid4().hex}"
        with psycopg.connect(plain_url(postgres.url), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE model".encode())
        return postgres.database(name)

    return make


def plain_url(url: str) -> str:
    """Return an URL as psycopg itself takes it."""
    return url.replace("+psycopg", "")


@pytest.fixture(scope="session")
def fresh_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Return what makes a file of its own, with the hub's tables, and gives its URL."""
    return lambda: store_in(tmp_path_factory.mktemp("sqlite")).url


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Return what gives the URL of a database with tables and nothing in them, on either server."""
    fresh: Callable[[], str] = request.getfixturevalue(
        "fresh_sqlite" if request.param == "sqlite" else "fresh_postgres"
    )
    return fresh


@pytest.fixture
def store(database: Callable[[], str]) -> Iterator[Store]:
    """Open an empty database, on either server."""
    made = Store(database())
    yield made
    made.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Run one real Kafka for all tests that need it."""
    with Kafka(tmp_path_factory.mktemp("kafka")) as node:
        yield node
