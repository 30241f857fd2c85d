"""The town's own account of what it said: one JSON object a line, in the order in which it was said.

The journal is the oracle that the ledger compares the hub with.  It is written by the vendors'
simulators and depends on nothing of the hub: it cannot repeat one of its mistakes.

Kinds of entries, each with its number `n`, the wall clock `at` (UTC, milliseconds) and:

    served     product feed key answer instance facts   an answer or callback that must become one raw record
    said       fact type subject entity about ...       something happened at a vendor
    over       fact                                     from here on no answer shows that fact any more
    fault      product fault path answer                the vendor failed on purpose; `answer` did not arrive whole
    callback   product feed answer status               one attempt to deliver a callback; status 0: no connection
    acked      product feed key                         the hub acknowledged an item of a queue
    mail       message_id recipient type facts          the mail server took a message; `recipient` is a digest
    bounced    message_id recipient type facts          the mail server refused a message for good
    restored   product upto                             a vendor went on from what it had saved at entry `upto`
    note       what ...                                 whoever broke something on purpose says so

**What can be observed** is computed from what was answered, never from a tolerance.  A fact is *shown*
by every answer of its `feed` and `key` between its `said` and its `over`, and by every callback that
names it.  It is observable when one of those arrived; a fact `after` another also needs that the other
was shown by something that arrived before this one happened (nobody sees a return of a loan that
nobody saw).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

Entry = Mapping[str, Any]


def now() -> str:
    """Tell the wall clock in the journal's form."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """An append-only file of entries, also kept in memory; safe for threads.

    Opened over an existing file it goes on behind its last whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._entries: list[Entry] = list(read(path))
        self._file = path.open("a+b")
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)  # a kill may have left half a line

    def write(self, kind: str, **fields: Any) -> int:
        """Append an entry, on disk before this returns, and return its number."""
        with self._lock:
            number = len(self._entries) + 1
            entry = {"n": number, "at": now(), "kind": kind, **fields}
            self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            self._entries.append(entry)
            return number

    def entries(self, kind: str | None = None, *, since: int = 0) -> list[Entry]:
        """Return entries in order, of one kind or all, those after number `since`."""
        with self._lock:
            found = self._entries[since:]
        return [entry for entry in found if kind is None or entry["kind"] == kind]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[Entry]:
    """Read a journal from its file, up to the last whole line."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                return
            yield json.loads(line)


def _later(said: Mapping[str, Any], restored: Entry, when: str) -> bool:
    return bool(said.get("product") == restored["product"] and said.get(when, 0) > restored["upto"])


@dataclass(frozen=True, slots=True)
class Said:
    """A fact of the journal, with the span of entries in which answers show it."""

    fact: str
    type: str
    subject: str
    entity: str
    n: int
    at: str
    until: int | None = None
    feed: str | None = None
    key: str | None = None
    after: str | None = None
    unless: str | None = None
    observable: bool = True
    why: str = ""
    product: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else the vendor said: lines of a disruption, wishes of a citizen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an observer who received certain answers must know, and what it cannot know."""

    observable: tuple[Said, ...]
    hidden: tuple[tuple[Said, str], ...]
    """Facts that no one could observe, each with the town's reason."""


@dataclass(slots=True)
class Account:
    """A journal, read."""

    served: dict[str, Entry] = field(default_factory=dict)
    """Answers and callbacks by their id."""
    facts: dict[str, Said] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    """Answers that did not arrive whole, and what was wrong with them."""
    attempts: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    """Attempts to deliver each callback."""
    mails: list[Entry] = field(default_factory=list)
    bounced: list[Entry] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Account:
        """Sort entries into what they say."""
        account = cls()
        facts: dict[str, dict[str, Any]] = {}
        for entry in entries:
            account.entries.append(entry)
            match entry["kind"]:
                case "served":
                    account.served[entry["answer"]] = entry
                case "said":
                    names = Said.__dataclass_fields__.keys()
                    facts[entry["fact"]] = {name: entry[name] for name in names if name in entry}
                case "over":
                    if entry["fact"] in facts:
                        facts[entry["fact"]].setdefault("until", entry["n"])
                case "restored":
                    lost = [name for name, said in facts.items() if _later(said, entry, "n")]
                    for name in lost:
                        del facts[name]
                    for said in facts.values():
                        if _later(said, entry, "until"):
                            del said["until"]
                case "fault" if entry.get("answer"):
                    account.damaged[entry["answer"]] = entry["fault"]
                case "callback":
                    account.attempts[entry["answer"]].append(entry)
                case "mail":
                    account.mails.append(entry)
                case "bounced":
                    account.bounced.append(entry)
        account.facts = {name: Said(**fields) for name, fields in facts.items()}
        return account

    def seen(self, arrived: Collection[str]) -> Seen:
        """Tell what follows from the answers that arrived."""
        shown = self.shown(arrived)
        asked = {(e["product"], e["feed"], e["key"]) for a, e in self.served.items() if a in arrived}
        observable: list[Said] = []
        hidden: list[tuple[Said, str]] = []
        for said in self.facts.values():
            why = self._why_hidden(said, shown, asked)
            if why is None:
                observable.append(said)
            else:
                hidden.append((said, why))
        return Seen(tuple(observable), tuple(hidden))

    def shown(self, arrived: Collection[str]) -> dict[str, int]:
        """Find the number of the first answer that shows each fact and arrived."""
        polls: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        named: dict[str, int] = {}
        for answer, entry in self.served.items():
            if answer in arrived and answer not in self.damaged:
                polls[entry["product"], entry["feed"], entry["key"]].append(entry["n"])
                for fact in entry.get("facts", ()):
                    named.setdefault(fact, entry["n"])
        first: dict[str, int] = {}
        for said in self.facts.values():
            candidates = [named[said.fact]] if said.fact in named else []
            if said.feed is not None and said.key is not None:
                until = said.until if said.until is not None else float("inf")
                candidates += [n for n in polls[said.product, said.feed, said.key] if said.n < n < until][:1]
            if candidates:
                first[said.fact] = min(candidates)
        return first

    def _why_hidden(
        self, said: Said, shown: Mapping[str, int], asked: Collection[tuple[str, str | None, str | None]]
    ) -> str | None:
        if not said.observable:
            return said.why or "not observable"
        if said.unless is not None and said.unless in shown:
            return said.why or "seen as another fact"
        if said.feed is None:
            # Told by a queue that keeps it until it is acknowledged.
            return None
        if said.fact not in shown:
            if (said.product, said.feed, said.key) not in asked:
                return "nobody asked: no citizen is linked"
            return said.why or (
                "no answer came after it" if said.until is None else "came and went between two answers"
            )
        if said.after is not None:
            before = self.facts[said.after]
            if shown.get(before.fact, said.n) >= said.n or self._why_hidden(before, shown, asked) is not None:
                return said.why or "no answer showed what came before it"
        return None
