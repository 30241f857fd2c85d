"""Publishing at portals: CKAN by its action API, udata (data.gouv.fr) by its REST API.

A dataset that is new stays private until all of it is there.  CKAN takes all files and the description in one
call, and so in one transaction.  udata takes one file after the other, so none replaces one that is listed: the new
ones are brought beside, one call lists and describes them, and the old ones go after it.  What failed is tried again
from the beginning, and finds what is there already: nothing is made twice.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx

from hub.config import OpenData, Portal
from hub.delivery.exports import Export, File
from hub.model.errors import Transient
from hub.repeating import Halted, back_off
from streams.open_data.history import Publication

REST = 5.0
AGAIN = 3600.0
"""Seconds until what a portal refused is tried again: somebody has to put it right."""
ID = "hub_dataset"
"""Extra that says which dataset of the hub it is."""
DIGEST = "sha256"
"""Extra of a dataset, and of each resource that is listed: the digest of the table that they belong to."""
REPLACED = "remplacé : "
"""Before the title of a file that is about to go: nobody takes it for the new one."""


class Refused(Exception):
    """The portal understood and says no; `code` is its status or the field that it names."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code[:40]


class Publications(Protocol):
    """The table of publications."""

    def publications(self) -> Sequence[Publication]: ...  # noqa: D102
    def publication(self, row: Publication, now: int) -> None: ...  # noqa: D102


Publish = Callable[[Export], None]
"""Bring a dataset to a portal; raise `Refused` or `Transient`."""


class PortalTurn:
    """A turn for `Repeating`: publish what a portal does not have yet."""

    def __init__(
        self,
        portal: str,
        publish: Publish,
        table: Publications,
        exports: Callable[[], Mapping[str, Export]],
        told: Callable[[str, str], None],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`told` is called for each try with `sent`, `later` or `refused`, and a code."""
        self._portal = portal
        self._publish = publish
        self._table = table
        self._exports = exports
        self._told = told
        self._now = now

    def __call__(self, halt: threading.Event) -> float:
        """Publish what changed; a portal that is away ends the turn, one that refuses a dataset does not."""
        known = {row.dataset: row for row in self._table.publications() if row.portal == self._portal}
        for name, export in sorted(self._exports().items()):
            if halt.is_set():
                raise Halted
            row = known.get(name)
            same = row is not None and row.sha256 == export.sha256
            if row is not None and same and (row.state == "sent" or row.next_at > self._now()):
                continue
            tries = row.attempts + 1 if row is not None and same and row.state != "sent" else 1
            try:
                self._publish(export)
            except Refused as error:
                self._mark(name, export, "refused", tries, AGAIN, error.code)
            except Transient as error:
                self._mark(name, export, "later", tries, back_off(tries, error.retry_after), "away")
                raise
            else:
                self._mark(name, export, "sent", tries, 0.0, "")
        return REST

    def _mark(self, name: str, export: Export, state: str, tries: int, rest: float, code: str) -> None:
        now = self._now()
        at = now + int(rest * 1000)
        self._table.publication(Publication(self._portal, name, export.sha256, state, tries, at, code or None), now)
        self._told(state, code)


class _Caller:
    """Calls a portal, and tells what is for now from what is for ever."""

    def __init__(self, settings: Portal, header: str, transport: httpx.BaseTransport | None) -> None:
        self._settings = settings
        self._header = header
        self._client = httpx.Client(base_url=settings.url.rstrip("/"), timeout=60.0, transport=transport)

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            token = self._settings.token_file.read_text("utf-8").strip() if self._settings.token_file else ""
        except OSError:
            raise Transient("the token's file cannot be read") from None
        try:
            answer = self._client.request(method, path, headers={self._header: token}, **arguments)
        except httpx.HTTPError as error:
            raise Transient(f"portal: {type(error).__name__}") from None
        if answer.status_code == 429 or answer.status_code >= 500:
            wait = answer.headers.get("Retry-After", "")
            raise Transient(f"status {answer.status_code}", retry_after=float(wait) if wait.isdecimal() else None)
        if answer.status_code not in (200, 201, 204, 404) and "json" not in answer.headers.get("Content-Type", ""):
            raise Refused(f"status {answer.status_code}")
        return answer


class Ckan:
    """Publishes at CKAN 2.10 or later."""

    def __init__(self, settings: OpenData, transport: httpx.BaseTransport | None = None) -> None:
        """`transport` is for tests."""
        self._settings = settings
        self._caller = _Caller(settings.ckan, "Authorization", transport)

    def __call__(self, export: Export) -> None:
        """Make the dataset if there is none, then revise all of it at once."""
        name = export.dataset.name.replace("_", "-")
        if self._action("package_show", {"id": name}, missing=True) is None:
            manifest = export.dataset.manifest
            first = {"name": name, "title": manifest.title, "private": True}
            self._action("package_create", {**first, "owner_org": self._settings.ckan.organisation})
        files = [
            (
                f"update__resources__{index}__upload",
                (file.path.rpartition("/")[2], _read(self._settings, file), file.mediatype),
            )
            for index, file in enumerate(export.files)
        ]
        form = {
            "match": json.dumps({"name": name}),
            "filter": json.dumps(["-tags", "-extras"]),
            "update": json.dumps(self._described(export)),
        }
        self._action("package_revise", form, files)

    def _described(self, export: Export) -> dict[str, Any]:
        manifest = export.dataset.manifest
        return {
            "title": manifest.title,
            "notes": manifest.description,
            "license_id": "etalab-2.0",
            "private": False,
            "tags": [{"name": word.replace("'", " ")} for word in manifest.keywords],
            "extras": [
                {"key": ID, "value": export.dataset.name},
                {"key": DIGEST, "value": export.sha256},
                {"key": "frequence", "value": manifest.frequency},
            ],
            "resources": [
                {"name": file.title, "format": file.format.upper(), "mimetype": file.mediatype} for file in export.files
            ],
        }

    def _action(
        self, name: str, values: Mapping[str, Any], files: Sequence[tuple[str, Any]] = (), *, missing: bool = False
    ) -> Any:
        sent: dict[str, Any] = {"data": values, "files": files} if files else {"json": values}
        answer = self._caller.call("POST", f"/api/3/action/{name}", **sent)
        try:
            said = answer.json()
        except ValueError:
            # A page in place of an answer is a proxy's.
            raise Transient("a page in place of an answer") from None
        if said.get("success"):
            return said["result"]
        error = said.get("error") or {}
        if missing and answer.status_code == 404:
            return None
        fields = sorted(key for key in error if not key.startswith("_") and key != "message")
        raise Refused(fields[0] if fields else str(error.get("__type") or f"status {answer.status_code}"))


class Udata:
    """Publishes at udata, the software of data.gouv.fr."""

    def __init__(self, settings: OpenData, transport: httpx.BaseTransport | None = None) -> None:
        """`transport` is for tests."""
        self._settings = settings
        self._caller = _Caller(settings.udata, "X-API-KEY", transport)

    def __call__(self, export: Export) -> None:
        """Make the dataset if there is none, bring its files, list them instead of the old ones, remove those."""
        there = self._find(export) or self._json("POST", "/api/1/datasets/", self._described(export, private=True))
        path = f"/api/1/datasets/{there['id']}"
        if sum(_digest(one) == export.sha256 for one in there.get("resources", ())) < len(export.files):
            old = [_replaced(one) for one in there.get("resources", ())]
            new = [self._brought(path, file, export) for file in export.files]
            described = {**self._described(export, private=False), "resources": [*new, *old]}
            there = self._json("PUT", f"{path}/", described)
        for resource in there["resources"]:
            # One that is only left out of the list would stay in the portal's storage for ever.
            if _digest(resource) != export.sha256:
                self._remove(f"{path}/resources/{resource['id']}/")

    def _find(self, export: Export) -> Mapping[str, Any] | None:
        path: str | None = f"/api/1/organizations/{self._settings.udata.organisation}/datasets/?page_size=100"
        while path:
            page = self._json("GET", path)
            for found in page["data"]:
                if (found.get("extras") or {}).get(ID) == export.dataset.name:
                    return dict(found)
            path = page.get("next_page")
        return None

    def _brought(self, path: str, file: File, export: Export) -> dict[str, Any]:
        """Upload a file beside those that are listed, and return how it is to be listed."""
        upload = {"file": (file.path.rpartition("/")[2], _read(self._settings, file), file.mediatype)}
        listed: dict[str, Any] = {
            "id": self._json("POST", f"{path}/upload/", files=upload)["id"],
            "title": file.title,
            "type": "main" if file in (export.files[0], *export.files[4:]) else "documentation",
            "format": file.format,
            "extras": {DIGEST: export.sha256},
        }
        schema, _, version = export.dataset.manifest.standard.partition("@")
        if schema and file is export.files[0]:
            listed["schema"] = {"name": schema, "version": version}
        return listed

    def _remove(self, path: str) -> None:
        answer = self._caller.call("DELETE", path)
        # Gone already is gone.
        if answer.status_code not in (204, 404):
            raise Refused(f"status {answer.status_code}")

    def _described(self, export: Export, *, private: bool) -> dict[str, Any]:
        manifest = export.dataset.manifest
        return {
            "title": manifest.title,
            "description": manifest.description,
            "organization": {"id": self._settings.udata.organisation},
            "license": "lov2",
            "tags": [word.lower().replace(" ", "-").replace("'", "-") for word in manifest.keywords],
            "private": private,
            "extras": {ID: export.dataset.name, **({} if private else {DIGEST: export.sha256})},
        }

    def _json(self, method: str, path: str, body: Any = None, files: Any = None) -> Any:
        answer = self._caller.call(method, path, **({"files": files} if files else {"json": body} if body else {}))
        try:
            said = answer.json()
        except ValueError:
            raise Transient("a page in place of an answer") from None
        if answer.status_code in (200, 201):
            return said
        fields = sorted(said.get("errors") or ()) if isinstance(said, dict) else []
        raise Refused(fields[0] if fields else f"status {answer.status_code}")


def _digest(resource: Mapping[str, Any]) -> str | None:
    found: str | None = (resource.get("extras") or {}).get(DIGEST)
    return found


def _replaced(resource: Mapping[str, Any]) -> dict[str, Any]:
    title = resource["title"]
    return {
        "id": resource["id"],
        "title": title if title.startswith(REPLACED) else f"{REPLACED}{title}",
        # What was told before may be told again.
        "extras": {DIGEST: ""},
    }


def _read(settings: OpenData, file: File) -> bytes:
    return Path(settings.folder / file.path).read_bytes()
