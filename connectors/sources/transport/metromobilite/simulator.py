"""The « M » platform in a box: everything that disturbs public transport, in one snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town

PARIS = ZoneInfo("Europe/Paris")
KEY = "metromobilite:evtTC"
NEVER = "31/12/2050 23:59"
USUAL: tuple[tuple[tuple[str, ...], str], ...] = (
    (("SEM:A",), "Quai de l'Exemple fermé"),
    (("SEM:B", "SEM:C"), "Rails remplacés cours des Essais"),
    (("SEM:12",), "Déménagement d'un marché"),
    (("SEM:13", "C38:T62"), "Pont à voie unique"),
    (("SEM:C1",), "Arrêt « Modèle » déplacé"),
    ((), "Service allégé le soir"),
)
"""Lines and titles of what goes on when the town wakes up."""


@dataclass(slots=True)
class Disruption:
    """Something that disturbs."""

    code: str
    number: int
    kind: str
    lines: tuple[str, ...]
    title: str
    start: str
    end: str
    published: str
    """The journal's name of the fact that it was published."""
    updated: str | None = None
    version: int = 1
    served: bool = False


class Simulator(simulator.Simulator):
    """Answers with all that goes on; what has ended is not there any more."""

    product = "metromobilite"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.disruptions: dict[str, Disruption] = {}
        self.codes: set[str] = set()
        """Codes that were ever used: one that comes back could not be told from one that never went."""
        self.garbled: dict[str, object] = {}
        self.shrunk = 0
        self.ended = 0
        """Ends of what was answered, that no answer has told yet."""
        self.number = 40_000

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/dyn/evtTC/json", self.snapshot)]

    def city_settings(self, url: str) -> dict[str, Any]:
        # A box bears more questions than a public platform does, and a town's day is short.
        return {**super().city_settings(url), "rate_per_second": 20}

    def seed(self) -> None:
        """Let the usual works go on."""
        with self.lock:
            for lines, title in USUAL:
                self.publish(lines=lines, title=title)

    # What happens.

    def publish(
        self,
        code: str | None = None,
        lines: Sequence[str] = ("SEM:C5",),
        *,
        title: str = "Travaux",
        kind: str = "chantier",
        end: datetime | None = None,
    ) -> str:
        """Announce a disruption of lines such as `SEM:C5`, until a moment or until further notice; return its code."""
        with self.lock:
            self.number += 1
            if code is None:
                code = f"SEM_{self.number}" if self.number % 2 else f"GAM_EVT_{self.number}"
            if code in self.codes:
                raise ValueError(f"used before: {code}")
            self.codes.add(code)
            self.disruptions[code] = Disruption(
                code,
                self.number,
                kind,
                tuple(lines),
                title,
                _local(self.clock()),
                NEVER if end is None else _local(end),
                self._said("DisruptionPublished", code, about={"lines": list(lines)}),
            )
            return code

    def update(self, code: str, *, lines: Sequence[str] | None = None) -> None:
        """Say more about a disruption, and perhaps of other lines."""
        with self.lock:
            item = self._live(code)
            if item.updated:
                self.over(item.updated)
            item.version += 1
            item.lines = item.lines if lines is None else tuple(lines)
            item.updated = self._said(
                "DisruptionUpdated",
                code,
                after=item.published,
                why="no answer showed how it was before",
                about={"lines": list(item.lines)},
            )

    def end(self, code: str) -> None:
        """Let a disruption disappear: that is all that tells its end; at most two between two answers."""
        with self.lock:
            item = self._live(code)
            if item.served:
                if self.ended == 2:
                    raise ValueError("so many at once: it would look like a mistake")
                self.ended += 1
            for fact in (item.published, item.updated):
                if fact:
                    self.over(fact)
            del self.disruptions[code]
            self._said("DisruptionEnded", code, after=item.published)

    def babble(self) -> str:
        """Publish something that nobody can read, for ever; the rest must not suffer from it."""
        with self.lock:
            if 2 * (len(self.garbled) + 1) >= len(self.disruptions):
                raise ValueError("so much nonsense: nothing would be believed")
            self.number += 1
            code = f"SEM_{self.number}"
            self.garbled[code] = {"type": "chantier", "id": self.number, "dateDebut": "bientôt", "latitude": "?"}
            return code

    def shrink(self, times: int = 1) -> None:
        """Let nearly everything be missing in the next answers, by mistake; needs five that were answered before."""
        with self.lock:
            if sum(item.served and item.end == NEVER for item in self.disruptions.values()) < 5:
                raise ValueError("too little goes on")
            self.shrunk = times

    def current(self) -> list[str]:
        """Return the codes of what goes on, the oldest first."""
        with self.lock:
            return list(self.disruptions)

    def _live(self, code: str) -> Disruption:
        if code not in self.disruptions:
            raise ValueError(f"over: {code}")
        return self.disruptions[code]

    def _said(self, type: str, code: str, **more: Any) -> str:
        return self.said(type, f"metromobilite:{code}", code, feed="evtTC", key=KEY, **more)

    # What is answered.

    def snapshot(self, request: Request) -> Response:
        """Answer `GET /dyn/evtTC/json`."""
        with self.lock:
            listed = {code: _entry(item) for code, item in self.disruptions.items()}
            key = KEY
            if self.shrunk > 0:
                self.shrunk -= 1
                # An answer that must not be believed has no key by which facts are shown.
                listed, key = dict(list(listed.items())[:1]), ""
            else:
                self.ended = 0
                for item in self.disruptions.values():
                    item.served = True
                if self.garbled and len(self.garbled) >= len(listed):
                    key = ""
                listed |= self.garbled
            body = json.dumps(listed, ensure_ascii=False, indent=1).encode()
            return self.answer(request, body, "application/json", feed="evtTC", key=key)


def _entry(item: Disruption) -> object:
    """Write an entry as the older or the newer of the vendor's programs does."""
    lines = ",".join(line.replace(":", "_", 1) for line in item.lines)
    news = "" if item.version == 1 else f"Mise à jour n° {item.version - 1}."
    times = {"dateDebut": item.start, "dateFin": item.end, "heureDebut": "00:00:00", "heureFin": "00:00:00"}
    if item.number % 2:
        until = "Jusqu'à nouvel ordre" if item.end == NEVER else f"Au {item.end}"
        return {
            "type": item.kind,
            "id": str(item.number - 7),
            **times,
            "latitude": "-1",
            "longitude": "-1",
            "weekEnd": "2",
            "listeLigneArret": lines,
            "texte": f"{item.title}|Du {item.start}|{until}|  Les véhicules font un détour. {news}|Arrêts reportés.",
        }
    return {
        "type": item.kind,
        "id": item.number - 7,
        **times,
        "latitude": 45.1885,
        "longitude": 5.7245,
        "weekEnd": "0",
        "listeLigne": lines,
        "titre": item.title,
        "description": f"Les véhicules font un détour. {news}",
        "visibleTC": True,
        "visibleVoiture": item.number % 4 == 0,
    }


def _local(moment: datetime) -> str:
    return moment.astimezone(PARIS).strftime("%d/%m/%Y %H:%M")
