"""Import beforehand what roles need, in the process that they are copies of."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

from hub import catalogue
from hub.kafka.worker import LATER

ON_THE_WAY = (
    *LATER,
    "concurrent.futures.thread",
    "encodings.idna",
    "hub.cli.run",
    "httpcore",
    "psycopg",
    "pydantic.v1",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
"""What libraries import only when they are used."""


def warm(roles: Iterable[str]) -> None:
    """Import all that the roles import, on their way too; leave it out of every garbage collection."""
    for role in roles:
        import_module(f"hub.roles.{role}")
    for module in ON_THE_WAY:
        # Some are optional, and none has to stay where it is.
        with suppress(ModuleNotFoundError):
            import_module(module)
    catalogue.connectors()
    catalogue.sinks()
    catalogue.schemas()
    # The copies share the memory for as long as nobody writes to it, and a collection does.
    gc.collect()
    gc.freeze()
