"""A producer of situations in a box: deliveries in XML, and the same in SIRI Lite."""

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

KEY = "siri_sx:situations"


@dataclass(slots=True)
class Incident:
    """Something that disturbs, as its last message tells of it."""

    code: str
    number: str
    version: int
    progress: str
    title: str
    line: str
    published: str
    created: datetime
    updated: str | None = None


class Simulator(simulator.Simulator):
    """Tells of each incident in every delivery, and of an end for as long as anybody may have missed it."""

    product = "siri_sx"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.incidents: dict[str, Incident] = {}
        self.number = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/siri/sx.xml", self.delivery)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {**super().city_settings(url), "rate_per_second": 20, "settings": {"situations": "/siri/sx.xml"}}

    def seed(self) -> None:
        """Let works go on."""
        with self.lock:
            self.begin("T38:10", "Travaux, arrêts reportés")

    def day(self, world: World) -> Iterator[Step]:
        def begin(w: World) -> None:
            w.remembered["fire"] = w.act(self.product, "begin", "T38:06", "Intervention des pompiers")

        def update(w: World) -> None:
            w.act(self.product, "update", w.remembered["fire"], "Intervention des pompiers : reprise progressive")

        yield Step("09:05", "Coaches: the fire brigade stops a line", begin)
        yield Step("10:20", "Coaches: news of it, under the same version", update)
        yield Step(
            "12:10",
            "Coaches: its end, under another number",
            lambda w: w.act(self.product, "end", w.remembered["fire"]),
        )

    # What happens.

    def begin(self, line: str, title: str) -> str:
        """Announce an incident; return its code."""
        with self.lock:
            self.incidents = {one.code: one for one in self.incidents.values() if one.progress != "closing"}
            self.number += 1
            code = f"essai-{self.number:06}"
            about = {"lines": [line]}
            said = self.said("DisruptionPublished", f"siri_sx:{code}", code, feed="situations", key=KEY, about=about)
            self.incidents[code] = Incident(code, code, 1, "published", title, line, said, self.clock())
            return code

    def update(self, code: str, title: str) -> None:
        """Say more, and forget to raise the version."""
        with self.lock:
            incident = self.incidents[code]
            incident.title = title
            incident.updated = self.said(
                "DisruptionUpdated",
                f"siri_sx:{code}",
                code,
                feed="situations",
                key=KEY,
                after=incident.published,
                why="no answer showed how it was before",
                about={"lines": [incident.line]},
            )

    def end(self, code: str) -> None:
        """Close an incident, under a number of its own."""
        with self.lock:
            incident = self.incidents[code]
            for fact in (incident.published, incident.updated):
                if fact is not None:
                    self.over(fact)
            incident.number, incident.version, incident.progress = "1", 5, "closing"
            incident.created = self.clock()
            self.said("DisruptionEnded", f"siri_sx:{code}", code, feed="situations", key=KEY, after=incident.published)

    # What is answered.

    def delivery(self, request: Request) -> Response:
        """Answer with every incident."""
        with self.lock:
            now = self.clock().isoformat()
            situations = "".join(
                "<PtSituationElement>"
                f"<CreationTime>{one.created.isoformat()}</CreationTime><ParticipantRef>T38</ParticipantRef>"
                f"<SituationNumber>{one.number}</SituationNumber><Version>{one.version}</Version>"
                f"<Progress>{one.progress}</Progress>"
                "<ValidityPeriod><StartTime>2026-01-05T05:00:00+01:00</StartTime></ValidityPeriod>"
                f'<Summary xml:lang="FR">{escape(one.title)}</Summary><Affects><Networks><AffectedNetwork>'
                f"<AffectedLine><LineRef>{one.line}</LineRef></AffectedLine></AffectedNetwork></Networks></Affects>"
                "</PtSituationElement>"
                for one in self.incidents.values()
            )
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Siri xmlns="http://www.siri.org.uk/siri" version="2.1">'
                f"<ServiceDelivery><ResponseTimestamp>{now}</ResponseTimestamp><Status>true</Status>"
                f"<SituationExchangeDelivery><Situations>{situations}</Situations></SituationExchangeDelivery>"
                "</ServiceDelivery></Siri>"
            )
            return self.answer(request, body.encode(), "application/xml", feed="situations", key=KEY)
