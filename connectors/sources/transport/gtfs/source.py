"""Reads a publication when it is another one, and takes its tables apart."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping

from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Get, Intake

TABLES = {
    "routes.txt": ("lines", "lines"),
    "stops.txt": ("stops", "stops"),
    "calendar.txt": ("services", "calendar"),
    "calendar_dates.txt": ("services", "calendar_dates"),
}
"""Name of a table to its feed, and to the end of its raw key."""
LARGEST = 64 * 1024 * 1024
"""Bytes of a table that are unpacked at most: a small archive may hold an endless one."""


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Ask for the archive; the same one again is not unpacked."""
    answer: Answer = yield Get(settings["path"])
    if not answer.ok:
        raise Transient(f"status {answer.status}")
    digest = hashlib.sha256(answer.body).hexdigest()
    if digest == cursor.get("sha256"):
        return
    tables = _tables(answer.body)
    for number, (name, data) in enumerate(tables.items(), 1):
        feed, key = TABLES[name]
        yield Emit(
            feed=feed,
            key=f"gtfs:{key}",
            value=data,
            read_at=answer.started_at,
            content_type="text/csv",
            raw_id=f"{digest}:{name}",
            answer=f"{answer.id}:{number}" if answer.id else None,
        )
    yield Checkpoint({"sha256": digest})


def _tables(body: bytes) -> dict[str, bytes]:
    """Unpack the tables; an archive that is cut, or lacks what every publication has, is none."""
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for item in archive.infolist():
                name = item.filename.rpartition("/")[2]
                if name in TABLES and name not in found:
                    if item.file_size > LARGEST:
                        raise Transient(f"{name} is larger than the hub unpacks")
                    found[name] = archive.read(item)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError):
        raise Transient("not a ZIP, or one that is cut") from None
    if missing := {"routes.txt", "stops.txt"} - found.keys():
        raise Transient(f"no {' and no '.join(sorted(missing))} in the archive")
    return found
