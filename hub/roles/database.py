"""The database, for the roles and commands that have one."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from sqlalchemy.engine import make_url

from hub.config import Settings
from hub.model.errors import Transient
from hub.repeating import back_off
from hub.roles.runtime import Runtime
from hub.store import Refused, Store
from hub.telemetry.events import Waiting


def store_url(settings: Settings) -> str:
    """Return the database's URL with the password from its file; a relative SQLite path is the working folder's."""
    url = make_url(settings.store.url)
    if settings.store.password_file is not None:
        url = url.set(password=Path(settings.store.password_file).read_text("utf-8").strip())
    return url.render_as_string(hide_password=False)


def open_store(runtime: Runtime, stop: threading.Event) -> Store | None:
    """Open the database and bring its tables up to date, waiting for it as long as it takes."""
    store = Store(store_url(runtime.settings))
    failures, since = 0, time.monotonic()
    while not stop.is_set():
        try:
            store.migrate()
        except Transient as error:
            failures += 1
            Waiting("database", max(time.monotonic() - since, 0.001), error.reason).emit(runtime.telemetry)
            stop.wait(back_off(failures, None))
        except Refused as error:
            runtime.stop_here(str(error))
        else:
            if failures:
                Waiting("database", 0.0).emit(runtime.telemetry)
            return store
    return None
