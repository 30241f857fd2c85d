"""A broker of interlibrary loans in a box: it hands on a copy of each message that was carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from starlette.routing import BaseRoute

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

AGENCY = "ESSAI"


class Simulator(simulator.Simulator):
    """Lends books of other cities."""

    product = "ncip"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.lent: dict[str, tuple[str, str]] = {}
        """User and the fact that it was lent, by item."""
        self.number = 0

    def routes(self) -> Sequence[BaseRoute]:
        return []

    def city_settings(self, url: str) -> dict[str, str]:  # it only calls
        return {"hook_secret_file": self.settings["hook_secret_file"]}

    def day(self, world: World) -> Iterator[Step]:
        user = f"{world.town.cast.reader.borrowernumber}"

        def link(w: World) -> None:
            w.act("publik", "link", w.town.cast.reader, f"ncip:{AGENCY}/{user}", "self")

        def lend(w: World) -> None:
            w.remembered["ncip"] = w.act(self.product, "lend", user)

        if "publik" in world.simulators:
            yield Step("08:50", "The portal links a reader of interlibrary loans", link)
        yield Step("10:05", "Interlibrary loan: a book of another city is lent", lend)
        yield Step("15:55", "… and comes back", lambda w: w.act(self.product, "take_back", w.remembered["ncip"]))

    def lend(self, user: str) -> str:
        """Lend an item for a request; return it.  Every second message bears no namespace, as of real senders."""
        with self.lock:
            self.number += 1
            item = f"peb-{self.number}"
            subject = f"ncip:{AGENCY}/{user}"
            fact = self.said("LoanStarted", subject, item, feed="message", key=f"ncip:{AGENCY}/{item}/out")
            self.lent[item] = subject, fact
            due = (self.clock() + timedelta(days=28)).strftime("%Y-%m-%dT12:00:00Z")
            inner = (
                _named("UserId", "UserIdentifierValue", user)
                + _named("ItemId", "ItemIdentifierValue", item)
                + _named("RequestId", "RequestIdentifierValue", f"demande-{self.number}")
                + f"<DesiredDateDue>{due}</DesiredDateDue>"
            )
            self._call("CheckOutItem", item, inner, fact)
            return item

    def take_back(self, item: str) -> None:
        """Take an item back."""
        with self.lock:
            subject, started = self.lent.pop(item)
            key = f"ncip:{AGENCY}/{item}/in"
            fact = self.said("LoanReturned", subject, item, feed="message", key=key, after=started)
            self._call("CheckInItem", item, _named("ItemId", "ItemIdentifierValue", item), fact)

    def _call(self, name: str, item: str, inner: str, fact: str) -> None:
        header = (
            "<InitiationHeader><FromAgencyId><AgencyId>RELAIS</AgencyId></FromAgencyId>"
            f"<ToAgencyId><AgencyId>{AGENCY}</AgencyId></ToAgencyId></InitiationHeader>"
        )
        text = f"<NCIPMessage><{name}>{header}{inner}</{name}></NCIPMessage>"
        if self.number % 2:
            text = text.replace("</", "</ns1:").replace("<", "<ns1:").replace("<ns1:/ns1:", "</ns1:")
            text = text.replace("<ns1:NCIPMessage>", '<ns1:NCIPMessage xmlns:ns1="http://www.niso.org/2008/ncip">', 1)
        body = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
        self.call("message", f"ncip:{AGENCY}/{item}", body, "application/xml", facts=[fact])


def _named(element: str, value: str, name: str) -> str:
    return f"<{element}><AgencyId>{AGENCY}</AgencyId><{value}>{name}</{value}></{element}>"
