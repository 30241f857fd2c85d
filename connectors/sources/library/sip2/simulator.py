"""A library's SIP2 server in a box, with patrons' names and titles in what it says."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.routing import BaseRoute

from hub.testing import simulator
from hub.testing.lines import LineServer, Talk
from hub.testing.simulator import Fault
from hub.testing.town.journal import Journal
from hub.testing.town.people import Town
from hub.testing.town.step import Step
from hub.testing.town.world import World

PARIS = ZoneInfo("Europe/Paris")
INSTITUTION = "BIBESSAI"
LISTS = {"Y         ": "AS", " Y        ": "AT", "  Y       ": "AU"}


@dataclass(slots=True)
class Loan:
    """An item that is lent."""

    patron: str
    started: str
    overdue: str | None = None
    collected: str | None = None
    """The fact that it could be fetched, if it was reserved."""


@dataclass(slots=True)
class Hold:
    """An item that waits for somebody."""

    patron: str
    ready: str


class Simulator(simulator.Simulator):
    """A small library of the suburbs: it has SIP2 for its self-check machine, and nothing else."""

    product = "sip2"

    def __init__(
        self, town: Town, journal: Journal, clock: Callable[[], datetime], settings: Mapping[str, str]
    ) -> None:
        super().__init__(town, journal, clock, settings)
        self.loans: dict[str, Loan] = {}
        self.holds: dict[str, Hold] = {}
        self.number = 0

    def routes(self) -> Sequence[BaseRoute]:
        return []

    def listen(self) -> None:
        self.lines = LineServer(self.speak, Path(self.settings["secrets_dir"]) / "port")

    def city_settings(self, url: str) -> dict[str, Any]:
        secret = Path(self.settings["secrets_dir"]) / "login"
        if not secret.exists():
            secret.write_text("mot-de-passe-d-essai\n", "utf-8")
        return {
            "base_url": f"tcp://127.0.0.1:{self.lines.port if self.lines else 0}",
            # A box bears more questions than a library does.
            "rate_per_second": 100,
            "settings": {"institution": INSTITUTION, "location": "HUB"},
            "credentials": {"default": {"kind": "basic", "client_id": "hub", "secret_file": str(secret)}},
        }

    def day(self, world: World) -> Iterator[Step]:
        patron = f"3842100{world.town.cast.reader.borrowernumber}"

        def link(w: World) -> None:
            w.act("publik", "link", w.town.cast.reader, f"sip2:{patron}", "self")

        def lend(w: World) -> None:
            w.remembered["sip2"] = w.act(self.product, "lend", patron)
            w.remembered["sip2 hold"] = w.act(self.product, "ready", patron)

        if "publik" in world.simulators:
            yield Step("08:35", "The portal links a card of a library that speaks SIP2", link)
        yield Step("09:50", "SIP2 library: a loan, and a reservation that can be fetched", lend)
        yield Step("11:35", "… the loan is overdue", lambda w: w.act(self.product, "late", w.remembered["sip2"]))
        yield Step("12:10", "… it hangs up in an answer", lambda w: w.fail(self.product, "/63", "truncate"))
        yield Step("12:50", "… it sends a wrong checksum", lambda w: w.fail(self.product, "/63", "checksum"))
        yield Step(
            "13:20", "… the reservation is fetched", lambda w: w.act(self.product, "fetch", w.remembered["sip2 hold"])
        )
        yield Step("15:45", "… the loan comes back", lambda w: w.act(self.product, "take_back", w.remembered["sip2"]))

    # What happens.

    def lend(self, patron: str) -> str:
        """Lend an item; return its bar code."""
        with self.lock:
            return self._lend(patron, self._item())

    def late(self, item: str) -> None:
        """Let its day pass."""
        with self.lock:
            loan = self.loans[item]
            if loan.overdue is None:
                loan.overdue = self._said("LoanOverdue", loan.patron, item)

    def take_back(self, item: str) -> None:
        """Take an item back."""
        with self.lock:
            loan = self.loans.pop(item)
            for fact in (loan.started, loan.overdue):
                if fact:
                    self.over(fact)
            self._said("LoanReturned", loan.patron, item, after=loan.started)
            if loan.collected:
                # Whoever saw that it waited, and never that it was lent, must take it for given up.
                self._said(
                    "HoldCancelled",
                    loan.patron,
                    item,
                    after=loan.collected,
                    unless=loan.started,
                    why="fetched, not given up",
                )

    def ready(self, patron: str) -> str:
        """Put an item aside for a patron; return its bar code."""
        with self.lock:
            item = self._item()
            self.holds[item] = Hold(patron, self._said("HoldReady", patron, item))
            return item

    def give_up(self, item: str) -> None:
        """Put an item back that nobody fetched."""
        with self.lock:
            hold = self.holds.pop(item)
            self.over(hold.ready)
            self._said("HoldCancelled", hold.patron, item, after=hold.ready)

    def fetch(self, item: str) -> None:
        """Lend what waited."""
        with self.lock:
            hold = self.holds.pop(item)
            self.over(hold.ready)
            self._lend(hold.patron, item)
            self.loans[item].collected = hold.ready

    def _lend(self, patron: str, item: str) -> str:
        self.loans[item] = Loan(patron, self._said("LoanStarted", patron, item))
        return item

    def _item(self) -> str:
        self.number += 1
        return f"38421{self.number:09}"

    def _said(self, kind: str, patron: str, item: str, **more: Any) -> str:
        key = f"sip2:{patron}"
        return self.said(kind, key, item, feed="patron", key=key, **more)

    # What is answered.

    def speak(self, talk: Talk, line: bytes) -> bytes:
        """Answer 93, 99 and 63; 96 to whoever sends a wrong sum; nothing, and the end, to anything else."""
        text = line.strip(b"\r\n")
        number = text[:2].decode("ascii", "replace")
        fault = self.faults.take("GET", f"/{number}")
        if fault is not None and fault.kind in ("503", "429", "html200"):
            self._failed(fault, number, None)
            return b""
        if not _sound(text):
            return b"96\r"
        sequence = int(text[-7:-6])
        fields = _fields(text)
        if number == "93":
            expected = (Path(self.settings["secrets_dir"]) / "login").read_text("utf-8").strip()
            talk.remembered["in"] = fields.get("CN") == "hub" and fields.get("CO") == expected
            return _ended(f"94{int(talk.remembered['in'])}", sequence)
        if not talk.remembered.get("in"):
            return b""
        if number == "99":
            return _ended(f"98YYYYNN030003{self._date()}2.00AO{INSTITUTION}|BXYYYYYYYYYYYYYYYY|", sequence)
        if number != "63" or fields.get("AO") != INSTITUTION:
            return b""
        return self._patron(talk, fields.get("AA", ""), LISTS[text[23:33].decode()], sequence, fault)

    def _patron(self, talk: Talk, patron: str, listed: str, sequence: int, fault: Fault | None) -> bytes:
        """Answer one of three questions; all three are decided, and journalled as one answer, at the first."""
        with self.lock:
            if "answers" not in talk.remembered:
                answers = {
                    code: self._said_of(patron, code, sequence + n, talk.id) for n, code in enumerate(LISTS.values())
                }
                spoiled = fault is not None and fault.kind == "checksum"
                if spoiled:
                    body, sum_ = answers[listed][:-5], int(answers[listed][-5:-1], 16)
                    answers[listed] = body + b"%04X\r" % (sum_ ^ 1)
                answer = hashlib.sha256(b"".join(answers.values())).hexdigest()
                talk.remembered.update(answers=answers, answer=answer)
                key = f"sip2:{patron}"
                self.answered[key] = time.monotonic()
                # SIP2 tells nothing of who asks: a connection is a process.  A wrong sum shows nothing.
                self.journal.write(
                    "served",
                    product=self.product,
                    feed="patron",
                    key="" if spoiled else key,
                    answer=answer,
                    instance=talk.id,
                    facts=[],
                )
        said: bytes = talk.remembered["answers"][listed]
        if fault is None:
            return said
        self._failed(fault, "63", talk.remembered["answer"])
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        return said[: len(said) // 2] if fault.kind == "truncate" else said

    def _said_of(self, patron: str, listed: str, sequence: int, ticket: str) -> bytes:
        lists = {
            "AS": [item for item, hold in self.holds.items() if hold.patron == patron],
            "AT": [item for item, loan in self.loans.items() if loan.patron == patron and loan.overdue],
            "AU": [item for item, loan in self.loans.items() if loan.patron == patron],
        }
        counts = "".join(f"{len(items):04}" for items in lists.values())
        entries = "".join(f"{listed}{item}|" for item in lists[listed])
        # The name is the patron's, and must not get further than this.
        fixed = f"64{'':14}003{self._date()}{counts}000000000000"
        about = f"AO{INSTITUTION}|AA{patron}|AE{self._name(patron)}|BLY|CQY|BV0.00|"
        # Asked twice within a second, a real library would say the same to the last byte.
        return _ended(f"{fixed}{about}{entries}AFBienvenue à la bibliothèque|AGTicket {ticket}|", sequence)

    def _name(self, patron: str) -> str:
        readers = {person.borrowernumber: person for person in self.town.readers}
        person = readers.get(patron[7:])
        return f"{person.family_name}, {person.given_names[0]}" if person else "Essai, Zoé"

    def _date(self) -> str:
        return self.clock().astimezone(PARIS).strftime("%Y%m%d    %H%M%S")

    def _failed(self, fault: Fault, number: str, answer: str | None) -> None:
        self.journal.write(
            "fault",
            product=self.product,
            fault=fault.kind,
            path=f"/{number}",
            answer=answer if fault.kind == "truncate" else None,
        )


def _ended(text: str, sequence: int) -> bytes:
    line = f"{text}AY{sequence % 10}AZ".encode("cp850", "replace")
    return line + f"{0x10000 - sum(line) % 0x10000:04X}".encode()[-4:] + b"\r"


def _sound(line: bytes) -> bool:
    return line[-9:-7] == b"AY" and _ended(line[:-9].decode("cp850"), int(line[-7:-6]))[:-1] == line


def _fields(line: bytes) -> dict[str, str]:
    text = line[:-9].decode("cp850")
    start = {"93": 4, "63": 33, "99": 10}.get(text[:2], 2)
    return {part[:2]: part[2:] for part in text[start:].split("|")}
