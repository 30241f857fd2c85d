"""INSEE's publications in a box: a folder of monthly files, and the companion that takes deaths back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.simulator import FileRow
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

HEADER = "Date de décès;Code du lieu de décès;Numéro d'acte de décès\r\n"


@dataclass(slots=True)
class File:
    """A file of the folder."""

    body: bytes
    rows: list[FileRow] = field(default_factory=list)


class Simulator(simulator.Simulator):
    """Publishes invented deaths, some of them badly."""

    product = "insee_deaths"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.files: dict[str, File] = {}
        self.published: dict[str, str] = {}
        """Facts by the key of the death."""
        self.number = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/", self.listing), Route("/{name}", self.contents)]

    def city_settings(self, url: str) -> dict[str, Any]:
        return {**super().city_settings(url), "rate_per_second": 20, "poll_seconds": 2}

    def day(self, world: World) -> Iterator[Step]:
        def publish(w: World) -> None:
            w.remembered["deaths"] = w.act(self.product, "publish_month", 6)

        def oppose(w: World) -> None:
            w.act(self.product, "oppose", w.remembered["deaths"])

        yield Step("08:45", "INSEE publishes a month of deaths, two of them twice, one line cut", publish)
        yield Step("11:20", "INSEE: a family opposed the publication of one of them", oppose)

    # What happens.

    def publish_month(self, count: int) -> str:
        """Publish a file; return the key of a death in it."""
        with self.lock:
            lines, rows = [], []
            for _ in range(count):
                self.number += 1
                day, number = f"202601{self.number % 28 + 1:02}", f"{self.number:09}"
                key = f"{day[:4]}-{day[4:6]}-{day[6:]}:38185:{number}"
                raw = f"{self.product}:{key}"
                said = self.said("DeathPublished", raw, key, feed="deaths", key=raw)
                self.published[key] = said
                name = f"ESSAI*JEANNE MARIE {'ABCDEFGHIJ'[self.number % 10]}/"
                lines.append(
                    f"{name:80}2{1930 + self.number % 40}0000{'38185':5}{'GRENOBLE':30}{'':30}{day}38185{number}"
                )
                rows.append(FileRow("deaths", raw))
            lines += [*lines[:2], "ESSAI*CUT"]
            rows += [*rows[:2], FileRow("deaths", f"{self.product}:?")]
            body = "\r\n".join(lines) + "\r\n"
            self.files[f"deces-2026-m{len(self.files) + 1:02}.txt"] = File(body.encode("iso-8859-1"), rows)
            return next(iter(reversed(self.published)))

    def oppose(self, key: str) -> None:
        """Publish the companion file that takes a death back."""
        with self.lock:
            raw = f"{self.product}:{key}"
            said = self.published.pop(key)
            self.said("DeathWithdrawn", raw, key, feed="opposition", key=raw, after=said)
            day, place, number = key.split(":")
            body = f"{HEADER}{day};{place};{number}\r\n".encode()
            name = f"fichier-opposition-deces-{len(self.files) + 1:02}.csv"
            self.files[name] = File(body, [FileRow("opposition", raw)])

    # What is answered.

    def listing(self, _request: Request) -> Response:
        """Answer with the names of the files."""
        with self.lock:
            return JSONResponse(sorted(self.files))

    def contents(self, request: Request) -> Response:
        """Answer with a file."""
        name = request.path_params["name"]
        with self.lock:
            if name not in self.files:
                return Response(status_code=404)
            file = self.files[name]
            return self.file(name, file.body, "application/octet-stream", file.rows)
