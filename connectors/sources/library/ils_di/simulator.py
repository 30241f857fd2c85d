"""Koha in a box: what patrons have borrowed and reserved, in real XML with its real defects."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.testing import simulator
from hub.testing.town.journal import Journal
from hub.testing.town.people import Person, Town

PARIS = ZoneInfo("Europe/Paris")
BRANCHES = {
    "CTRE": "Bibliothèque Centre-Ville",
    "KTEB": "Bibliothèque Kateb-Yacine",
    "EAUX": "Bibliothèque Eaux-Claires",
    "TEIS": "Bibliothèque Teisseire-Malherbe",
    "ALLI": "Bibliothèque Alliance",
}
KINDS = ("LIV", "LIV", "LIV", "DVD", "CD", "BD")
TITLES = ("L'herbier des sommets", "Ruelles & traboules", "Une saison à Belledonne", "Le cœur des glaciers", "<Zéro>")
"""Nobody's works.  No title may leave the hub's edge together with a person, so that one which does is found."""
WEEKS = timedelta(weeks=3)
DUE_DAYS = (0, 3)
"""Documents are due on Mondays and Thursdays.  The town lives a day without school as the last school day before it,
while the hub's day goes on: on the day after one of these, both are the same day, and agree on what is overdue."""
ENCODINGS = (("ISO-8859-1", "iso-8859-1"), ("UTF-8", "utf-8"), ("ISO-8859-1", "utf-8"))
"""What an answer declares and what it is, in turn."""


@dataclass(slots=True)
class Hold:
    """A reservation."""

    number: str
    biblio: str
    patron: str
    branch: str
    reserved: date
    priority: int
    placed: str
    """The journal's name of the fact that it was placed."""
    ready: str | None = None
    item: str = ""


@dataclass(slots=True)
class Loan:
    """An item with a patron."""

    item: str
    biblio: str
    patron: str
    branch: str
    kind: str
    issued: date
    due: date
    first_due: date
    started: str
    """The journal's name of the fact that it was lent."""
    renewed_on: date | None = None
    renewed: str | None = None
    overdue: str | None = None
    collected: Hold | None = None
    """What it was reserved by."""


class Simulator(simulator.Simulator):
    """Answers `GetPatronInfo`; knows no history, so whatever happens between two answers may be invisible."""

    product = "ils_di"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.loans: dict[str, Loan] = {}
        """By item."""
        self.holds: dict[str, Hold] = {}
        """By number."""
        self.last_lent: dict[tuple[str, str], date] = {}
        """Patron and item to the day of their last loan."""
        self.held: set[tuple[str, str]] = set()
        """Patron and record of all holds: a loan of one of those looks like its fulfilment."""
        self.failing: dict[str, int] = {}
        self.mixed: dict[str, str] = {}
        self.number = 1000
        self.answers = 0

    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/cgi-bin/koha/ilsdi.pl", self.ask)]

    def city_settings(self, url: str) -> dict[str, Any]:
        # A box bears more questions than a library does.
        return {**super().city_settings(url), "rate_per_second": 100}

    def seed(self) -> None:
        """Lend and reserve for every reader, in weeks past; some should have been back by now."""
        chance = random.Random(f"{self.town.seed}/ils_di")
        today = self.today
        cast = self.town.cast
        with self.lock:
            for reader in self.town.readers:
                ages = [chance.randint(1, 17) for _ in range(chance.randint(0, 3))]
                if reader in (cast.reader, cast.late):
                    ages = [2, 12]
                elif chance.random() < 0.1:
                    ages.append(chance.randint(26, 40))
                for age in ages:
                    self.lend(reader, issued=today - timedelta(days=age))
                for _ in range(chance.randint(0, 4)):
                    self._lend_long_ago(_id(reader), today - timedelta(days=chance.randint(32, 60)))
                if reader is cast.reader or chance.random() < 0.15:
                    self.place_hold(reader, priority=chance.randint(1, 4))

    @property
    def today(self) -> date:
        """The library's day."""
        return self.clock().astimezone(PARIS).date()

    # What happens.

    def lend(self, patron: Person | str, item: str | None = None, *, issued: date | None = None) -> str:
        """Lend an item, a new one unless it is named; return its number."""
        with self.lock:
            who = _id(patron)
            if item is None:
                self.number += 1
                item = f"{self.number}1"
            if (who, item[:-1]) in self.held:
                raise ValueError(f"reserved once: {item}")
            return self._lend(who, item, issued or self.today)

    def renew(self, patron: Person | str, item: str) -> None:
        """Prolong a loan; what is overdue cannot be prolonged."""
        with self.lock:
            loan = self._loan(patron, item)
            self._age()
            if loan.overdue:
                raise ValueError(f"overdue: {item}")
            if loan.renewed:
                self.over(loan.renewed)
            loan.due = _open(max(loan.due, self.today) + WEEKS)
            loan.renewed_on = self.today
            loan.renewed = self._said(
                "LoanRenewed", loan.patron, item, after=loan.started, why="no answer showed the former due date"
            )

    def give_back(self, patron: Person | str, item: str) -> None:
        """Return an item."""
        with self.lock:
            loan = self._loan(patron, item)
            self._age()
            self._end(loan)
            del self.loans[item]
            self._said("LoanReturned", loan.patron, item, after=loan.started)
            if loan.collected:
                # Whoever saw the hold, and never the loan that fulfilled it, must take it for cancelled.
                self._said(
                    "HoldCancelled",
                    loan.patron,
                    loan.collected.number,
                    after=loan.collected.placed,
                    unless=loan.started,
                    why="fulfilled by a loan, not cancelled",
                )

    def make_overdue(self, patron: Person | str, item: str) -> None:
        """Move the due date to yesterday."""
        with self.lock:
            loan = self._loan(patron, item)
            if loan.renewed:
                self.over(loan.renewed)
                loan.renewed = None
            loan.due = min(loan.due, self.today - timedelta(days=1))
            self._age()

    def relend(self, patron: Person | str, item: str) -> None:
        """Return an item of an earlier day and lend it again at once: the issue date tells."""
        with self.lock:
            loan = self._loan(patron, item)
            if loan.issued == self.today or loan.collected:
                raise ValueError(f"lent today, or reserved once: {item}")
            self.give_back(patron, item)
            self._lend(loan.patron, item, self.today)

    def relend_unseen(self, patron: Person | str, item: str) -> None:
        """Return an item that was lent today and lend it again at once: no answer can show it."""
        with self.lock:
            loan = self._loan(patron, item)
            self._age()
            if loan.issued != self.today or loan.renewed or loan.overdue:
                raise ValueError(f"lent before today, renewed or overdue: {item}")
            why = "returned and lent again between two answers"
            self._said("LoanReturned", loan.patron, item, observable=False, why=why)
            self._said("LoanStarted", loan.patron, item, observable=False, why=why)

    def place_hold(self, patron: Person | str, *, priority: int = 1) -> str:
        """Reserve a work, behind others; return the hold's number."""
        with self.lock:
            self.number += 1
            number, who = f"{self.number}7", _id(patron)
            placed = self._said("HoldPlaced", who, number)
            branch = _pick(tuple(BRANCHES), self.number)
            biblio = str(self.number)
            self.held.add((who, biblio))
            self.holds[number] = Hold(number, biblio, who, branch, self.today, max(priority, 1), placed)
            return number

    def hold_ready(self, patron: Person | str, hold: str) -> None:
        """Set an item aside for whoever reserved it."""
        with self.lock:
            place = self._hold(patron, hold)
            if place.ready:
                raise ValueError(f"ready: {hold}")
            place.priority, place.item = 0, f"{place.biblio}1"
            place.ready = self._said("HoldReady", place.patron, hold)

    def cancel_hold(self, patron: Person | str, hold: str) -> None:
        """Give a reservation up."""
        with self.lock:
            place = self._drop(patron, hold)
            self._said("HoldCancelled", place.patron, hold, after=place.placed)

    def collect(self, patron: Person | str, hold: str) -> str:
        """Lend what was set aside: the reservation is over, and nobody says that it was cancelled."""
        with self.lock:
            if not self._hold(patron, hold).ready:
                raise ValueError(f"not ready: {hold}")
            place = self._drop(patron, hold)
            self._lend(place.patron, place.item, self.today)
            self.loans[place.item].collected = place
            return place.item

    def refuse(self, patron: Person | str, times: int = 1) -> None:
        """Let the next questions about a patron be answered with an error in a 200."""
        with self.lock:
            self.failing[_id(patron)] = times

    def mix_up(self, patron: Person | str, other: Person | str) -> None:
        """Let the next question about a patron be answered with what another one has."""
        with self.lock:
            self.mixed[_id(patron)] = _id(other)

    def items(self, patron: Person | str) -> list[str]:
        """Return the items that a patron has, in the order in which they were lent."""
        with self.lock:
            return [loan.item for loan in self.loans.values() if loan.patron == _id(patron)]

    def reserved(self, patron: Person | str) -> list[str]:
        """Return the numbers of a patron's holds."""
        with self.lock:
            return [hold.number for hold in self.holds.values() if hold.patron == _id(patron)]

    def _lend(self, who: str, item: str, issued: date, due: date | None = None) -> str:
        if item in self.loans:
            raise ValueError(f"lent: {item}")
        if self.last_lent.get((who, item)) == issued:
            # Two loans of one day look like one, whatever was answered between them.
            raise ValueError(f"lent to the same patron on the same day: {item}")
        self.last_lent[who, item] = issued
        first_due = _open(issued + WEEKS)
        branch, kind = _pick(tuple(BRANCHES), int(item[:-1])), _pick(KINDS, int(item[:-1]))
        started = self._said("LoanStarted", who, item)
        self.loans[item] = Loan(item, item[:-1], who, branch, kind, issued, due or first_due, first_due, started)
        self._age()
        return item

    def _lend_long_ago(self, who: str, issued: date) -> None:
        """Lend an item that was prolonged before anybody asked: its month has ended, and it is not overdue."""
        self.number += 1
        item = f"{self.number}1"
        self._lend(who, item, issued, due=_open(self.today + WEEKS))
        self.loans[item].renewed_on = self.today - timedelta(days=1)

    def _end(self, loan: Loan) -> None:
        for fact in (loan.started, loan.renewed, loan.overdue):
            if fact:
                self.over(fact)

    def _drop(self, patron: Person | str, number: str) -> Hold:
        hold = self._hold(patron, number)
        for fact in (hold.placed, hold.ready):
            if fact:
                self.over(fact)
        return self.holds.pop(number)

    def _age(self) -> None:
        """Say of each loan, once, that its day has passed."""
        for loan in self.loans.values():
            if loan.due < self.today and loan.overdue is None:
                loan.overdue = self._said("LoanOverdue", loan.patron, loan.item)

    def _said(self, type: str, who: str, entity: str, **more: Any) -> str:
        key = f"ils_di:{who}"
        return self.said(type, key, entity, feed="patron", key=key, **more)

    def _loan(self, patron: Person | str, item: str) -> Loan:
        loan = self.loans.get(item)
        if loan is None or loan.patron != _id(patron):
            raise ValueError(f"not lent: {item}")
        return loan

    def _hold(self, patron: Person | str, number: str) -> Hold:
        hold = self.holds.get(number)
        if hold is None or hold.patron != _id(patron):
            raise ValueError(f"not reserved: {number}")
        return hold

    # What is answered.

    def ask(self, request: Request) -> Response:
        """Answer `GET /cgi-bin/koha/ilsdi.pl?service=GetPatronInfo&patron_id=…`."""
        asked = request.query_params
        if asked.get("service") != "GetPatronInfo":
            return Response(
                _document("ilsdi", ["<code>UnsupportedService</code>"], *ENCODINGS[1]), media_type="text/xml"
            )
        who = asked.get("patron_id", "")
        with self.lock:
            self._age()
            self.answers += 1
            declared, real = ENCODINGS[self.answers % len(ENCODINGS)]
            # An answer that shows nothing of this patron has no key by which facts are shown.
            key = ""
            if who not in {reader.borrowernumber for reader in self.town.readers}:
                lines = ["<code>PatronNotFound</code>"]
            elif self.failing.get(who, 0) > 0:
                self.failing[who] -= 1
                lines = ["<error>PatronNotFound</error>"]
            elif other := self.mixed.pop(who, None):
                lines = self._patron(other, asked)
            else:
                lines, key = self._patron(who, asked), f"ils_di:{who}"
            body = _document("GetPatronInfo", lines, declared, real)
            return self.answer(request, body, "text/xml", feed="patron", key=key)

    def _patron(self, who: str, asked: Mapping[str, str]) -> list[str]:
        person = self.town.patron(who)
        lines = [
            _element("borrowernumber", who),
            _element("cardnumber", f"2138500{who}"),
            _element("surname", person.family_name),
            _element("firstname", person.given_names[0]),
            _element("dateofbirth", person.birth),
            _element("categorycode", "ADULTE"),
            _element("branchcode", "CTRE"),
            _element("amountoutstanding", "6.00" if int(who) % 9 == 0 else "0.00"),
            _element("charges", "0.00"),
            _element("debarred", "0"),
            _element("sex", ""),
        ]
        if asked.get("show_contact", "1") != "0":
            lines.append(_element("email", person.email))
        if asked.get("show_holds") == "1" and (holds := [h for h in self.holds.values() if h.patron == who]):
            lines += ["<holds>", *(line for hold in holds for line in _hold_lines(hold)), "</holds>"]
        if asked.get("show_loans") == "1":
            loans = [loan for loan in self.loans.values() if loan.patron == who]
            # Without any, only the white space between the two lines is left.
            lines += ["<loans>", *(line for loan in loans for line in _loan_lines(loan)), "</loans>"]
        return lines


def _loan_lines(loan: Loan) -> list[str]:
    title = _pick(TITLES, int(loan.biblio))
    marc = f'<record><datafield tag="200"><subfield code="a">{escape(title)}</subfield></datafield></record>'
    return [
        "<loan>",
        _element("itemnumber", loan.item),
        _element("biblionumber", loan.biblio),
        _element("barcode", f"3850{loan.item}"),
        _element("isbn", ""),
        _element("title", title),
        _element("author", "Exemple, Rémi"),
        _element("issuedate", loan.issued),
        _element("date_due", loan.due),
        _element("onloan", loan.first_due),
        _element("lastreneweddate", loan.renewed_on or ""),
        _element("renewals", int(loan.renewed_on is not None)),
        _element("timestamp", f"{loan.renewed_on or loan.issued} 10:12:44"),
        _element("branchcode", loan.branch),
        _element("itype", loan.kind),
        *([_element("marcxml", marc)] if int(loan.biblio) % 3 == 0 else []),
        "</loan>",
    ]


def _hold_lines(hold: Hold) -> list[str]:
    label = BRANCHES[hold.branch]
    return [
        "<hold>",
        _element("reservenumber", hold.number),
        _element("reservedate", hold.reserved),
        _element("priority", hold.priority),
        _element("biblionumber", hold.biblio),
        _element("itemnumber", hold.item),
        _element("branchcode", hold.branch),
        # Encoded twice, beside a label that is right.
        _element("branchname", label.encode().decode("iso-8859-1")),
        _element("lowestPriority", 0),
        "<item>",
        _element("title", _pick(TITLES, int(hold.biblio))),
        _element("homebranch", label),
        "</item>",
        "</hold>",
    ]


def _document(root: str, lines: Sequence[str], declared: str, real: str) -> bytes:
    text = "\n".join((f'<?xml version="1.0" encoding="{declared}" ?>', f"<{root}>", *lines, f"</{root}>", ""))
    return text.encode(real, "xmlcharrefreplace")


def _element(name: str, value: object) -> str:
    text = str(value)
    return f"<{name}>{escape(text)}</{name}>" if text else f"<{name} />"


def _pick(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def _id(patron: Person | str) -> str:
    if isinstance(patron, str):
        return patron
    if patron.borrowernumber is None:
        raise ValueError("without a card")
    return patron.borrowernumber


def _open(day: date) -> date:
    while day.weekday() not in DUE_DAYS:
        day += timedelta(days=1)
    return day
