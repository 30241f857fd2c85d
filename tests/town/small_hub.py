"""A hub that fits in one process: real drivers and connectors, lists for topics, a set for SQL."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub import catalogue
from hub.config import Source
from hub.intake.driver import Vendor, drive
from hub.kafka.ledger import EventSeen, Topics
from hub.model.decision import Deliver, Quarantine
from hub.model.errors import Transient
from hub.model.event import Event
from hub.model.intake import Call, Emit, Refusal
from hub.model.record import Header, Origin, Record
from hub.pipeline.parking import Partition, decide
from hub.roles.intake import credentials
from hub.testing.ledger import Ledger, Stored, reckon
from hub.testing.town.host import Host, Server


class SmallHub:
    """Polls all vendors of a town, takes their callbacks, decides what comes."""

    def __init__(self) -> None:
        self.connectors = catalogue.connectors()
        self.schemas = catalogue.schemas()
        self.sources: dict[str, Source] = {}
        self.topics = Topics(raw={product: [] for product in self.connectors})
        self.partitions: dict[str, Partition] = defaultdict(Partition)
        self.stored: list[Stored] = []
        self.links: dict[str, set[str]] = defaultdict(set)
        self.cursors: dict[str, Mapping[str, Any]] = defaultdict(dict)
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.failures: list[BaseException] = []
        self.polls: dict[str, int] = defaultdict(int)
        self.threads: list[threading.Thread] = []
        self.server = Server(Starlette(routes=[Route("/hooks/{product}/{feed}", self._hook, methods=["POST"])]))
        self.instance = str(uuid4())

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=10)
        self.server.__exit__()

    @property
    def hooks_url(self) -> str:
        return f"{self.server.url}/hooks"

    def poll_all(self, host: Host, url: str, pause: float) -> None:
        """Poll every product that can be polled, each in a thread."""
        vendors = host.world.simulators.items()
        self.sources = {product: Source(**vendor.city_settings(f"{url}/{product}")) for product, vendor in vendors}
        for product, connector in self.connectors.items():
            if connector.poll is not None:
                thread = threading.Thread(target=self._poll, args=(product, pause), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _poll(self, product: str, pause: float) -> None:
        connector = self.connectors[product]
        assert connector.poll is not None
        source = self.sources[product]
        agent = f"municipal-hub/0 ({self.instance})"
        vendor = Vendor(source.base_url + "/", agent, 1000, credentials(source))
        while not self.stopping.is_set():
            wait = pause
            try:
                drive(connector, connector.poll(self.cursors[product], source.settings), vendor, self)
                self.polls[product] += 1
            except Transient as away:
                wait = away.retry_after or 0.2
            except BaseException as error:
                self.failures.append(error)
                return
            self.stopping.wait(wait)

    async def _hook(self, request: Request) -> Response:
        connector = self.connectors[request.path_params["product"]]
        assert connector.receive is not None
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path_params["feed"], await request.body(), headers, time.time_ns() // 1_000_000)
        wish = connector.receive(call)
        if isinstance(wish, Refusal):
            return Response(status_code=wish.status)
        await run_in_threadpool(self.emit, connector.product, wish)
        return Response(status_code=202)

    def emit(self, product: str, wish: Emit) -> None:
        with self.lock:
            raw = self.topics.raw[product]
            headers = [(Header.FEED, wish.feed.encode())]
            if wish.answer is not None:
                headers.append((Header.ANSWER, wish.answer.encode()))
            record = Record(
                product=product,
                feed=wish.feed,
                key=wish.key.encode(),
                value=wish.value,
                raw_id=wish.raw_id or str(uuid4()),
                read_at=wish.read_at,
                origin=Origin(f"raw.{product}", 1, 0, len(raw)),
                content_type=wish.content_type,
                headers=tuple(headers),
            )
            raw.append(record)
            decided = decide([record], self.partitions[product], self.connectors[product], self.schemas)
            for decision in decided.decisions:
                if isinstance(decision, Deliver):
                    self._deliver(decision.event)
                elif isinstance(decision, Quarantine):
                    self.topics.quarantined[record.origin] = decision.code

    def _deliver(self, event: Event) -> None:
        if event.id in self.topics.events:
            return
        self.topics.events[event.id] = EventSeen(event.id, event.type, event.subject, event.product, str(event.seq))
        self.stored.append(Stored(event.id, event.type, event.subject, event.product))
        payload: Any = event.payload
        if event.type.endswith(".LinkRequested"):
            self.links[payload.subject].add(payload.citizen)
        elif event.type.endswith(".UnlinkRequested"):
            self.links[payload.subject].discard(payload.citizen)

    def subjects(self, product: str) -> list[str]:
        with self.lock:
            prefix = f"{product}:"
            linked = [s.removeprefix(prefix) for s, who in self.links.items() if who and s.startswith(prefix)]
        return sorted(linked)

    def checkpoint(self, product: str, cursor: Mapping[str, Any]) -> None:
        self.cursors[product] = dict(cursor)

    def rounds(self, count: int, seconds: float = 30) -> None:
        """Wait until every product has been polled so many times more."""
        wanted = {p: self.polls[p] + count for p, c in self.connectors.items() if c.poll is not None}
        end = time.monotonic() + seconds
        while any(self.polls[product] < number for product, number in wanted.items()):
            assert time.monotonic() < end, f"not polled: {dict(self.polls)} of {wanted}; {self.failures}"
            time.sleep(0.05)

    def ledger(self, host: Host) -> Ledger:
        early = host.journal.entries()
        with self.lock:
            late = host.journal.entries()
            return reckon(
                early=early,
                topics=self.topics,
                stored=self.stored,
                notices=None,
                late=late,
                connectors=self.connectors,
                schemas=self.schemas,
            )


def town(folder: Path, hub: SmallHub, families: int = 12) -> Host:
    """Host a small town that calls back to the hub."""
    return Host(folder, seed=38185, families=families, hooks_url=hub.hooks_url)
