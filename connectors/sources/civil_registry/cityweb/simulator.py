"""The portal and CityWeb in a box: every message between them is handed on to the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Person, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

PARIS = ZoneInfo("Europe/Paris")


class Simulator(simulator.Simulator):
    """Sends a copy of each demand, and of what CityWeb answers to it."""

    product = "cityweb"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.demands: list[str] = []

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/demands", self.listing)]

    def day(self, world: World) -> Iterator[Step]:
        """Let residents ask at the portal, and CityWeb take all but one."""
        cast = self.town.cast
        for time, person, kind, code in (
            ("08:20", cast.hyphens, "birth", 0),
            ("11:05", cast.accents, "marriage", 0),
            ("15:25", cast.foreign, "death", 12),
        ):
            text = f"CityWeb: {person.name} asks for a record of a {kind}"
            yield Step(time, text, self._asking(person, kind, code))

    def _asking(self, person: Person, kind: str, code: int) -> Callable[[World], str]:
        def do(world: World) -> str:
            number: str = world.act(self.product, "ask", person, kind, code)
            return number

        return do

    def listing(self, _request: Request) -> Response:
        """Answer with the numbers of the demands; the hub does not ask."""
        with self.lock:
            return JSONResponse(self.demands)

    def ask(self, person: Person, kind: str = "birth", code: int = 0) -> str:
        """Let a person ask for a record, and CityWeb answer with a code; return the number of the demand."""
        number = str(uuid4())
        key = f"cityweb:{number}"
        with self.lock:
            self.demands.append(number)
            asked = self.said("RecordRequested", key, number, feed="message", key=f"{number}/demand")
            self.call("message", key, _demand(number, person, kind), "text/xml", facts=[asked])
            answered = self.said("RequestStatusChanged", key, number, feed="message", key=f"{number}/answer")
            moment = self.clock().astimezone(PARIS).replace(tzinfo=None)
            self.call("message", key, _answer(number, code, moment), "text/xml", facts=[answered])
        return number


def _envelope(header: str, body: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:wsa="http://www.w3.org/2005/08/addressing">\n'
        f"<soapenv:Header>{header}</soapenv:Header>\n<soapenv:Body>{body}</soapenv:Body>\n</soapenv:Envelope>\n"
    ).encode()


def _demand(number: str, person: Person, kind: str) -> bytes:
    prefix = kind.capitalize()
    names = f"<q:{prefix}LastName>{escape(person.family_name)}</q:{prefix}LastName>"
    born = person.birth_date
    return _envelope(
        f'<wsa:MessageID soapenv:mustUnderstand="0">urn:uuid:{number}</wsa:MessageID>',
        f'<q:{prefix}DetailsRequest xmlns:q="http://www.digitech.fr/cityws/{kind}">'
        f"<q:RequesterQuality>Requester</q:RequesterQuality>{names if kind != 'marriage' else ''}"
        f"<q:{prefix}Date>{born.isoformat() + '+01:00' if born is not None else ''}</q:{prefix}Date>"
        f"<q:{prefix}City>{escape(person.birth_place_name)}</q:{prefix}City>"
        f"<q:{prefix}PostalCode>{person.birth_place[:2]}</q:{prefix}PostalCode>"
        f"<q:Format>FullCopy</q:Format><q:Copies>1</q:Copies><q:Comment/></q:{prefix}DetailsRequest>",
    )


def _answer(number: str, code: int, moment: datetime) -> bytes:
    return _envelope(
        f"<wsa:RelatesTo>urn:uuid:{number}</wsa:RelatesTo>",
        '<mr:MessageResponse xmlns:mr="http://www.digitech.fr/cityws/messageResponse">'
        f"<mr:code>{code}</mr:code><mr:description/><mr:date>{moment.isoformat(timespec='milliseconds')}</mr:date>"
        f"<mr:severity>{'ERROR' if code else 'INFO'}</mr:severity></mr:MessageResponse>",
    )
