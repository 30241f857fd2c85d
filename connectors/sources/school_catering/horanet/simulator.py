"""SmartTransac in a box: readers of badges at the canteen's door, accounts and bills, in SOAP with its habits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Child, Family, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

PARIS = ZoneInfo("Europe/Paris")
NAMESPACE = "http://smarttransac.exemple.invalid/"
USES = {
    "Meal": ("Repas", "RMI", 315),
    "MorningNursery": ("Accueil du matin", "AMA", 120),
    "EveningNursery": ("Accueil du soir", "ASO", 180),
}
"""English key to French activity, code of the place and price in cents."""
NOBODY = "No user was found for this number."


@dataclass(slots=True)
class Use:
    """A child's card at a reader."""

    number: int
    """Not unique: readers count for themselves."""
    child: str
    at: datetime
    """Local, as the vendor writes it."""
    kind: str


@dataclass(slots=True)
class Bill:
    """A bill."""

    number: int
    family: int
    cents: int
    made: datetime
    issued: str
    """The journal's name of the fact that it was made out."""
    paid: str | None = None
    refused: bool = False


class Simulator(simulator.Simulator):
    """Answers what cards were used for, and what is owed."""

    product = "horanet"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.uses: list[Use] = []
        self.bills: dict[int, Bill] = {}
        self.balances: dict[int, int] = {}
        """Cents by family."""
        self.told: dict[int, str] = {}
        """The journal's name of the present balance of a family."""
        self.failing: dict[str, int] = {}
        self.number = 700
        self.answers = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/SmartTransac.asmx", self.ask, methods=["POST"])]

    def city_settings(self, url: str) -> dict[str, Any]:
        since = (self.clock().astimezone(PARIS).date() - timedelta(days=20)).isoformat()
        asked = {"zip_code": "38000", "namespace": NAMESPACE, "since": since, "path": "/SmartTransac.asmx"}
        return {**super().city_settings(url), "settings": asked, "rate_per_second": 50, "poll_seconds": 3}

    def seed(self) -> None:
        """Let the cast's children have been there, and their families have accounts and a bill."""
        yesterday = self.clock().astimezone(PARIS).replace(tzinfo=None, hour=11, minute=40, second=5, microsecond=0)
        with self.lock:
            for family in self.families():
                self._balance(family.number, 5000 + family.number)
                self.bill(family)
                for child in family.children:
                    self.badge(child, at=yesterday - timedelta(days=1))

    def families(self) -> list[Family]:
        """Those who have this card: the first families with children."""
        return [family for family in self.town.families if family.children][:5]

    def day(self, world: World) -> Iterator[Step]:
        """Link a family and its children, let them come, be billed and pay."""
        family, other = self.families()[0], self.families()[1]
        parent, child = family.parents[0], family.children[0]

        def link(w: World) -> None:
            links = [(parent, child.external_id) for child in family.children]
            links += [(parent, f"family-{family.number}"), (other.parents[0], f"family-{other.number}")]
            for person, name in links:
                if f"horanet:{name}" not in w.linked():
                    w.act("publik", "link", person, f"horanet:{name}", "parent")

        yield Step("07:34", f"{parent.name} links the children's cards and the family's account", link)
        yield Step(
            "07:50", "A card at the door of morning care", lambda w: w.act("horanet", "badge", child, "MorningNursery")
        )
        yield Step(
            "11:42",
            "… and at the canteen: the reader counts with the same number",
            lambda w: w.act("horanet", "badge", child),
        )
        yield Step(
            "12:15",
            "Horanet says in English that it does not know the child",
            lambda w: w.act("horanet", "refuse", child),
        )
        yield Step(
            "13:20",
            "SmartTransac answers an error page with status 200",
            lambda w: w.fail("horanet", "/", "html200", method="POST"),
        )
        yield Step(
            "14:30",
            f"{parent.name} pays the canteen's bill",
            lambda w: w.act("horanet", "pay", w.act("horanet", "bill", family)),
        )
        yield Step(
            "15:15",
            "A debit is refused: the bill is open again, its payment date stays",
            lambda w: w.act("horanet", "reopen", w.act("horanet", "pay", w.act("horanet", "bill", other))),
        )
        yield Step("16:45", "An account is topped up", lambda w: w.act("horanet", "top_up", family))

    # What happens.

    def badge(self, child: Child | str, kind: str = "Meal", *, at: datetime | None = None) -> None:
        """Let a child's card be read; every second use has the number of the one before."""
        who = child if isinstance(child, str) else child.external_id
        with self.lock:
            self.number += len(self.uses) % 2
            moment = at or self.clock().astimezone(PARIS).replace(tzinfo=None, microsecond=0)
            if any((use.number, use.at, use.kind) == (self.number, moment, kind) for use in self.uses):
                self.number += 1
            self.uses.append(Use(self.number, who, moment, kind))
            key = f"horanet:{who}"
            self.said("MealEaten", key, f"{moment.isoformat()} {self.number} {kind}", feed="transactions", key=key)

    def top_up(self, family: Family) -> None:
        """Put money on a family's account."""
        with self.lock:
            self.number += 1
            self._balance(family.number, self.balances[family.number] + 2000 + self.number)

    def bill(self, family: Family) -> int:
        """Make a bill out; return its number."""
        with self.lock:
            self.number += 1
            now = self.clock().astimezone(PARIS)
            issued = self._said("BillIssued", family.number, str(self.number))
            self.bills[self.number] = Bill(self.number, family.number, 4600, now, issued)
            return self.number

    def pay(self, number: int) -> int:
        """Let a bill be paid; return its number."""
        with self.lock:
            bill = self.bills[number]
            if bill.paid:
                raise ValueError(f"paid: {number}")
            bill.paid = self._said("BillPaid", bill.family, str(number))
            return number

    def reopen(self, number: int) -> None:
        """Let a payment be refused by the bank: the bill is owed again, and keeps its payment date."""
        with self.lock:
            bill = self.bills[number]
            if not bill.paid or bill.refused:
                raise ValueError(f"not paid, or refused once: {number}")
            self.over(bill.paid)
            self._said(
                "BillIssued", bill.family, str(number), after=bill.paid, why="paid and open again between two answers"
            )
            bill.refused = True

    def refuse(self, child: Child | str, times: int = 1) -> None:
        """Let the next questions about a child be answered with a sentence in a 200."""
        with self.lock:
            self.failing[child if isinstance(child, str) else child.external_id] = times

    def _balance(self, family: int, cents: int) -> None:
        if family in self.told:
            self.over(self.told[family])
        self.balances[family] = cents
        self.told[family] = self._said("AccountBalanceChanged", family, f"C{family}")

    def _said(self, type: str, family: int, entity: str, **more: Any) -> str:
        key = f"horanet:family-{family}"
        return self.said(type, key, entity, feed="accounts", key=key, **more)

    # What is answered.

    async def ask(self, request: Request) -> Response:
        """Answer a SOAP request; the document inside is text, escaped in every second answer."""
        asked = (await request.body()).decode()
        operation = "GetFamilyAccounts" if "<GetFamilyAccounts" in asked else "GetChildTransactions2"
        number = _part(asked, "ProcID")
        with self.lock:
            self.answers += 1
            if operation == "GetFamilyAccounts":
                key, feed = f"horanet:family-{number}", "accounts"
                known = number.isdigit() and int(number) in self.balances
                document = self._family(int(number)) if known else NOBODY
            else:
                key, feed = f"horanet:{number}", "transactions"
                since = datetime.fromisoformat(_part(asked, "start_search"))
                known = number in {child.external_id for child in self.town.children}
                document = self._events(number, since) if known else NOBODY
            if self.failing.get(number, 0) > 0:
                self.failing[number] -= 1
                known, document = False, NOBODY
            inner = f"<![CDATA[{document}]]>" if self.answers % 2 else escape(document)
            body = (
                '<?xml version="1.0" encoding="utf-8"?><soap:Envelope '
                'xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
                f"<{operation}Response xmlns={quoteattr(NAMESPACE)}><{operation}Result>{inner}</{operation}Result>"
                f"</{operation}Response></soap:Body></soap:Envelope>"
            )
            # An answer that shows nothing of anybody has no key by which facts are shown.
            return self.answer(request, body.encode(), "text/xml", feed=feed, key=key if known else "")

    def _events(self, child: str, since: datetime) -> str:
        lines = []
        for use in self.uses:
            if use.child == child and use.at >= since:
                french, place, _ = USES[use.kind]
                lines.append(
                    f'<event event-id="{use.number}" event-date="{use.at.isoformat()}" event-label="Passage" '
                    f'event-label2="{place}" event-label3={quoteattr(french)} event-label4="{use.kind}"/>'
                )
        return f"<events>{''.join(lines)}</events>"

    def _family(self, number: int) -> str:
        (family,) = (family for family in self.families() if family.number == number)
        bills = "".join(
            f'<bill bill-id="{bill.number}" value="{bill.cents}" label="Facture restauration" '
            f'date="{bill.made:%Y-%m-%d}" date-expiration="{bill.made + timedelta(days=30):%Y-%m-%d}" '
            f'date-payment="{f"{bill.made:%Y-%m-%d}" if bill.paid else ""}" '
            f'payed="{int(bill.paid is not None and not bill.refused)}"/>'
            for bill in self.bills.values()
            if bill.family == number
        )
        children = "".join(
            f'<child child-card="38{child.external_id}" child-id="{child.external_id}" town-id="38185" '
            f'firstname={quoteattr(child.given_names[0])} birthdate="{child.birth}+01:00"/>'
            for child in family.children
        )
        return (
            f'<family><accounts><account account-id="C{number}" value="{self.balances[number]}" '
            f'date="{self.clock().astimezone(PARIS):%Y-%m-%d}" label="Compte famille"/></accounts>'
            f"<bills>{bills}</bills><contracts>{children}</contracts></family>"
        )


def _part(asked: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", asked)
    return found[1] if found else ""
