"""Reads an account: entries and open links meet here, each time anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from hub.avro.codec import Schemas
from hub.config import Settings
from hub.model.connector import Connector
from hub.store import Store
from hub.store.store import LinkShown
from streams.account import (
    CITY,
    SHOWS,
    SPEAKERS,
    Block,
    Line,
    Pace,
    blocks,
    next_word,
    prefixes,
    subject_words,
    visible,
    works,
)


class Why(NamedTuple):
    """Where a line comes from."""

    source: str
    """Who says it, in words."""
    product: str
    happened: datetime
    read: datetime
    """When the hub read it."""
    revision: int
    """Of the mapping from the source's words to ours."""
    expected: datetime | None
    """When the source is asked again; None: it calls when it has something to say."""
    link: LinkShown | None
    """The link that shows it; None of what is public."""


class Account(NamedTuple):
    """A citizen's account as it stands."""

    links: list[LinkShown]
    blocks: list[Block]
    why: Callable[[Block, Line], Why | None]


class Accounts:
    """Reads accounts from one database, by what the connectors say and how often they are asked."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        schemas: Schemas,
        connectors: Mapping[str, Connector],
        paused: Callable[[], Collection[str]],
    ) -> None:
        """`paused` names the products whose records wait."""
        self._store = store
        self._paused = paused
        self._public = schemas.names("public")
        self._disruptions = [name for name in self._public if name.startswith(SHOWS["disruptions"])]
        used = {name: source for name, source in settings.connectors.items() if name in connectors and source.enabled}
        self._catalogues = {of: product for product, source in used.items() if (of := source.settings.get("titles_of"))}
        self._said = {
            product: {
                f"hub.{connector.domain}.{name}" for feed in connector.feeds.values() for name in feed.manifest.emits
            }
            for product, connector in connectors.items()
        }
        self._seconds = {
            name: source.poll_seconds or connectors[name].manifest.poll_seconds
            for name, source in used.items()
            if connectors[name].poll is not None and source.base_url
        }
        self._cut_off = settings.canteen.cut_off()

    def read(self, citizen: str, now: datetime, only: Collection[str] = ()) -> Account:
        """Return the account, or what it has of the blocks that are named."""
        with self._store.together():
            return self._read(citizen, now, only)

    def _read(self, citizen: str, now: datetime, only: Collection[str]) -> Account:
        today = now.astimezone(CITY).date()
        granted = prefixes(only)
        links = [
            link
            for link in self._store.links_of(citizen, today)
            if not only or any(name.startswith(granted) for name in self._shown_by(link))
        ]
        linked: dict[str, set[str]] = {}
        for link in links:
            linked.setdefault(link.subject.partition(":")[0], set()).update(self._shown_by(link))
        sources = {
            product: linked.get(product, set()) | types.intersection(self._public)
            for product, types in self._said.items()
        }
        entries = visible(self._store.entries_of([link.subject for link in links]), links)
        lent = works(entries)
        titles = {
            (of, number): title
            for of, catalogue in self._catalogues.items()
            for number, title in self._store.titles(
                catalogue, [number for product, number in lent if product == of]
            ).items()
        }
        fresh = self._store.freshness()
        pace = Pace(self._seconds, self._paused())
        parts = blocks(
            entries,
            sorted(self._store.public_entries(self._disruptions), key=lambda entry: entry.seq),
            self._store.lines_of(citizen),
            now,
            fresh,
            sources,
            titles,
            self._cut_off,
            pace,
        )
        by_subject = {link.subject: link for link in links}

        def why(block: Block, line: Line) -> Why | None:
            said = line.said
            if said is None:
                return None
            return Why(
                SPEAKERS[block.name],
                said.product,
                datetime.fromtimestamp(said.occurred_at / 1000, CITY),
                datetime.fromtimestamp(said.read_at / 1000, CITY),
                said.rev,
                next_word(said.product, fresh, pace),
                by_subject.get(said.subject),
            )

        return Account(links, [part for part in parts if not only or part.name in only], why)

    def words_of(self, link: LinkShown) -> str:
        """Say what a link is about."""
        return subject_words(link.subject, self._said.get(link.subject.partition(":")[0], ()))

    def narrowed(self, citizen: str, now: datetime, only: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
        """Return, by linked subject, how the types begin of which the citizen may see entries."""
        granted = set(prefixes(only))
        return {
            link.subject: tuple(prefix for prefix in prefixes(link.scope) if prefix in granted)
            for link in self._store.links_of(citizen, now.astimezone(CITY).date())
        }

    def _shown_by(self, link: LinkShown) -> set[str]:
        """Return the types that a link can show: what its product says, within its scope."""
        shown = prefixes(link.scope)
        return {name for name in self._said.get(link.subject.partition(":")[0], ()) if name.startswith(shown)}


def named(parts: Iterable[Block]) -> list[str]:
    """Return the names of blocks that tell something."""
    return [part.name for part in parts if part.lines]
