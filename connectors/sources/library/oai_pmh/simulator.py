"""A repository in a box: two records to a page, tombstones, and tokens that it forgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

KEY = "oai_pmh:records"
PAGE = 60
NUMBERS = range(1001, 1241)
"""Numbers of works that the library next door lends."""
WORKS = ("Le Livre de l'essai", "Bibliothèque modèle", "Exemples & cie", "Un jour d'école", "L'Île aux <balises>")
"""Records of a page."""


@dataclass(slots=True)
class Entry:
    """A record, and when it changed last."""

    title: str
    changed: datetime
    said: str
    deleted: bool = False


class Simulator(simulator.Simulator):
    """A catalogue of some books."""

    product = "oai_pmh"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.entries: dict[str, Entry] = {}

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/oai", self.list_records)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {
            **super().city_settings(url),
            "rate_per_second": 20,
            "poll_seconds": 3,
            "settings": {"path": "/oai", "prefix": "oai_dc", "titles_of": "ils_di"},
        }

    def seed(self) -> None:
        """Fill the catalogue."""
        with self.lock:
            for number in NUMBERS:
                self.change(f"oai:ESSAI:{number}", f"{WORKS[number % len(WORKS)]}, tome {number - 1000}")

    def day(self, world: World) -> Iterator[Step]:
        yield Step(
            "09:50",
            "The catalogue corrects a title",
            lambda w: w.act(self.product, "change", "oai:ESSAI:1001", "Le Livre de l’essai"),
        )
        yield Step("11:10", "… has a new book", lambda w: w.act(self.product, "change", "oai:ESSAI:1241", "Nouveautés"))
        yield Step("14:05", "… and one less", lambda w: w.act(self.product, "delete", "oai:ESSAI:1002"))

    # What happens.

    def change(self, name: str, title: str) -> None:
        """Let a record come, or say something else."""
        with self.lock:
            if (before := self.entries.get(name)) is not None:
                self.over(before.said)
            said = self.said("CatalogueRecordChanged", f"oai_pmh:{name}", name, feed="records", key=KEY)
            self.entries[name] = Entry(title, self.clock(), said)

    def delete(self, name: str) -> None:
        """Leave a tombstone."""
        with self.lock:
            entry = self.entries[name]
            if not entry.deleted:
                self.over(entry.said)
                entry.said = self.said("CatalogueRecordDeleted", f"oai_pmh:{name}", name, feed="records", key=KEY)
                entry.deleted, entry.changed = True, self.clock()

    # What is answered.

    def list_records(self, request: Request) -> Response:
        """Answer `verb=ListRecords`."""
        with self.lock:
            token = request.query_params.get("resumptionToken", "")
            since, _, start = token.rpartition("/") if token else (request.query_params.get("from", ""), "", "0")
            names = [name for name, one in self.entries.items() if one.changed.date().isoformat() >= since]
            page = names[int(start) : int(start) + PAGE]
            after = int(start) + PAGE
            more = f"<resumptionToken>{since}/{after}</resumptionToken>" if after < len(names) else ""
            inner = "".join(_record(name, self.entries[name]) for name in page)
            listed = f"<ListRecords>{inner}{more}</ListRecords>" if page else '<error code="noRecordsMatch"/>'
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
                f"<responseDate>{_utc(self.clock())}</responseDate>{listed}</OAI-PMH>"
            )
            if not page:
                # Nothing is written of an empty list.
                return Response(body, media_type="application/xml")
            return self.answer(request, body.encode(), "application/xml", feed="records", key=KEY)


def _record(name: str, entry: Entry) -> str:
    header = f"<identifier>{name}</identifier><datestamp>{_utc(entry.changed)}</datestamp>"
    if entry.deleted:
        return f'<record><header status="deleted">{header}</header></record>'
    return (
        f"<record><header>{header}</header><metadata>"
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{escape(entry.title)}</dc:title><dc:creator>Modèle, Anne</dc:creator></oai_dc:dc>"
        "</metadata></record>"
    )


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
