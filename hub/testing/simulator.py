"""A vendor in a box: the base of every `connectors/sources/*/*/simulator.py`.

    class Simulator(hub.testing.simulator.Simulator):
        product = "chrono"

        def routes(self) -> list[Route]:
            return [Route("/api/bookings/", self.bookings)]

        def bookings(self, request: Request) -> Response:
            with self.lock:
                body = ...
                return self.answer(request, body, "application/json", feed="bookings", key=child)

Endpoints are plain functions (Starlette runs them in threads).  Take `self.lock` around whatever reads
or changes the state *and* around `answer`, so that the journal has them in the order of the truth.

**Saying what happened.**  Change the state, then `said(...)`, under one hold of the lock:

    fact = self.said("LoanStarted", f"ils_di:{patron}", item, feed="patron", key=f"ils_di:{patron}")
    ...
    self.over(fact)                                      # the loan ended: from here no answer shows it
    self.said("LoanReturned", ..., feed="patron", key=..., after=fact)   # seen only if the loan was seen

A fact with `feed` and `key` (the raw key, as in `answer`) is observable if an answer of that feed and key
arrived while it lasted; one without is told by a queue that repeats until acknowledged, and always is.
A callback shows the facts that it names: `self.call(..., facts=[fact])`.

**Living on.** What a subclass keeps in its own attributes is its state: plain data, and people of the town.
The host saves it after every action, so that a town that is started again goes on where it was.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import pickle
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from uuid import NAMESPACE_URL, uuid4, uuid5

import anyio
import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.testing.lines import LineServer
from hub.testing.town.journal import Journal
from hub.testing.town.people import Child, Person, Town
from hub.testing.town.step import Step

if TYPE_CHECKING:
    from hub.testing.town.world import World

SIGNATURE = "X-Hub-Signature"
REQUEST_ID = "X-Request-Id"
HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Erreur</title></head>"
    b"<body><h1>Service momentan\xc3\xa9ment indisponible</h1></body></html>\n"
)
KINDS = ("503", "429", "slow", "html200", "truncate", "checksum")


class FileRow(NamedTuple):
    """A row of a file: its feed, its raw key, and the facts that it shows."""

    feed: str
    key: str
    facts: Sequence[str] = ()


@dataclass(slots=True)
class Fault:
    """A failure that waits for the requests it will strike."""

    path_prefix: str
    kind: str
    times: int
    retry_after: float | None
    seconds: float
    method: str


class Faults:
    """Failures to come; safe for threads.

    `503` and `429` are answered before the vendor looks at the request.  `slow` holds the answer back
    after its contents were decided: it may be older than a callback sent meanwhile.  `html200` answers
    an error page with status 200; `truncate` announces the whole length, sends half and hangs up.

    Who speaks in lines hangs up before the answer for `503`, in the middle of it for `truncate`, and sends a wrong sum
    for `checksum`; the path is `/` and the message's number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(
        self,
        path_prefix: str,
        kind: str,
        times: int = 1,
        *,
        retry_after: float | None = None,
        seconds: float | None = None,
        method: str = "GET",
    ) -> None:
        """Let the next `times` requests under a path (as the vendor names it, `/api/…`) fail."""
        if kind not in KINDS:
            raise ValueError(f"no such fault: {kind}")
        fault = Fault(path_prefix, kind, times, retry_after, 1.5 if seconds is None else seconds, method)
        with self._lock:
            self._waiting.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault that strikes a request, and count it down."""
        with self._lock:
            for fault in self._waiting:
                if fault.method in (method, "*") and path.startswith(fault.path_prefix):
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        """Let nothing fail any more."""
        with self._lock:
            self._waiting.clear()

    @property
    def pending(self) -> int:
        """How many requests are still going to fail."""
        with self._lock:
            return sum(fault.times for fault in self._waiting)


class _Failing:
    """ASGI middleware that lets requests fail and journals it."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app = app
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._saving(send)
        path: str = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        fault = self._simulator.faults.take(scope["method"], path)
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind in ("503", "429"):
            self._journal(fault, path, None)
            headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
            await Response(status_code=int(fault.kind), headers=headers)(scope, receive, send)
        else:
            await self._spoil(fault, path, scope, receive, send)

    def _saving(self, send: Send) -> Send:
        """Save what a request changed before its answer goes out."""

        async def saving(message: Message) -> None:
            if message["type"] == "http.response.start":
                await anyio.to_thread.run_sync(self._simulator.keep_if_changed)
            await send(message)

        return saving

    async def _spoil(self, fault: Fault, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        start = messages[0]
        body = b"".join(message.get("body", b"") for message in messages[1:])
        headers = {name.lower(): value for name, value in start["headers"]}
        answer = headers.get(REQUEST_ID.lower().encode(), b"").decode()
        if fault.kind == "slow":
            self._journal(fault, path, None)
            await anyio.sleep(fault.seconds)
            for message in messages:
                await send(message)
            return
        self._journal(fault, path, answer or None)
        if fault.kind == "html200":
            page = Response(HTML_PAGE, media_type="text/html")
            if answer:
                page.headers[REQUEST_ID] = answer
            await page(scope, receive, send)
            return
        await send(start)
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        # Returning before the announced length is what makes the server break the connection.

    def _journal(self, fault: Fault, path: str, answer: str | None) -> None:
        self._simulator.journal.write(
            "fault", product=self._simulator.product, fault=fault.kind, path=path, answer=answer
        )


class Simulator:
    """One vendor: its API as an ASGI app, its state, its failures, and what it tells the journal."""

    product: ClassVar[str]

    def __init__(
        self,
        town: Town,
        journal: Journal,
        clock: Callable[[], datetime],
        settings: Mapping[str, str],
    ) -> None:
        """Build the vendor; its state comes with `seed` or `restore`.

        `clock` is the town's, aware UTC.  `settings` hold `hooks_url` (`http://…/hooks/<product>`),
        `hook_secret_file`, and `secrets_dir`: a folder of the vendor's own, for what it gives to the city.
        """
        self.town = town
        self.journal = journal
        self.clock = clock
        self.settings = settings
        self.lock = threading.RLock()
        self.faults = Faults()
        self.app = Starlette(routes=list(self.routes()), middleware=[Middleware(_Failing, simulator=self)])
        self._calls: queue.Queue[_Callback | None] = queue.Queue()
        self._pending: dict[str, _Callback] = {}
        self._changed = False
        self.keep: Callable[[], None] = lambda: None
        """Puts what `save` gives in a safe place; the host sets it."""
        self.answered: dict[str, float] = {}
        """When somebody was last told of a key, on the monotonic clock."""
        self._caller: threading.Thread | None = None
        self._closing = threading.Event()
        self.handed_over: set[str] = set()
        """Names of files that somebody has read."""
        self.lines: LineServer | None = None
        """Where it listens beside HTTP, if it does."""

    def listen(self) -> None:
        """Listen for what is not HTTP."""

    def keep_if_changed(self) -> None:
        """Keep the state if something was said since it was last kept."""
        if self._changed:
            with self.lock:
                self._changed = False
                self.keep()

    def save(self) -> bytes:
        """Write down the state: every attribute of a subclass's own; people by their numbers."""
        with self.lock:
            state = {name: value for name, value in self.__dict__.items() if name not in _INFRASTRUCTURE}
            buffer = io.BytesIO()
            _Pickler(buffer).dump((len(self.journal.entries()), state, list(self._pending.values())))
            return buffer.getvalue()

    def restore(self, saved: bytes) -> None:
        """Go on from what `save` wrote; what was said since and is not part of it is taken back in the journal."""
        upto, state, pending = _Unpickler(io.BytesIO(saved), self.town).load()
        taken = {entry["answer"] for entry in self.journal.entries("callback") if 200 <= entry["status"] < 300}
        with self.lock:
            self.__dict__.update(state)
            self.journal.write("restored", product=self.product, upto=upto)
            for callback in pending:
                if callback.answer not in taken:
                    self._enqueue(callback)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the vendor's endpoints."""
        raise NotImplementedError

    def city_settings(self, url: str) -> dict[str, Any]:
        """Return what the city writes under `connectors.<product>` to reach this vendor at `url`; secrets are files."""
        return {"base_url": url, "hook_secret_file": self.settings["hook_secret_file"]}

    def seed(self) -> None:
        """Set the state in which the town wakes up."""

    def day(self, world: World) -> Iterator[Step]:
        """Yield what happens at this vendor on a school day, and at no other."""
        yield from ()

    def answer(
        self,
        request: Request,
        body: bytes,
        content_type: str,
        *,
        feed: str,
        key: str,
        status: int = 200,
        facts: Iterable[str] = (),
    ) -> Response:
        """Answer with something that must become exactly one raw record, and journal it.

        `key` is the raw key; `facts` are those that this answer shows and that no `feed` and `key` tell.
        """
        answer = str(uuid4())
        self.answered[key] = time.monotonic()
        self.journal.write(
            "served",
            product=self.product,
            feed=feed,
            key=key,
            answer=answer,
            instance=instance_of(request),
            facts=list(facts),
        )
        return Response(body, status, headers={REQUEST_ID: answer, "Content-Type": content_type})

    def file(self, name: str, body: bytes, content_type: str, rows: Iterable[FileRow]) -> Response:
        """Answer with a file, each row of which must become exactly one raw record, however often it is read."""
        if name not in self.handed_over:
            self.handed_over.add(name)
            self._changed = True
            for number, row in enumerate(rows, 1):
                self.journal.write(
                    "served",
                    product=self.product,
                    feed=row.feed,
                    key=row.key,
                    answer=f"{_named(self.product, name)}:{number}",
                    instance="",
                    facts=list(row.facts),
                )
        return Response(body, headers={REQUEST_ID: _named(self.product, name), "Content-Type": content_type})

    def said(
        self,
        type: str,
        subject: str,
        entity: str,
        *,
        observable: bool = True,
        why: str = "",
        feed: str | None = None,
        key: str | None = None,
        after: str | None = None,
        unless: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> str:
        """Journal a fact and return its name.

        `type` is the record name (`LoanStarted`).  With `feed` and `key`, answers of that feed and key show it
        until `over`.  `after`: cannot be seen unless that fact was seen before; `unless`: is not seen if that
        fact was seen.  `observable=False` with `why`: nobody can, whatever is answered.  `about`: what else
        an oracle needs, as JSON values.
        """
        self._changed = True
        fact = str(uuid4())
        fields = {"feed": feed, "key": key, "after": after, "unless": unless, "about": about}
        self.journal.write(
            "said",
            fact=fact,
            product=self.product,
            type=type,
            subject=subject,
            entity=entity,
            observable=observable,
            why=why,
            **{name: value for name, value in fields.items() if value is not None},
        )
        return fact

    def over(self, fact: str) -> None:
        """Journal that from here on no answer shows a fact."""
        self._changed = True
        self.journal.write("over", fact=fact)

    def acked(self, feed: str, key: str) -> None:
        """Journal that the hub acknowledged an item of a queue."""
        self.journal.write("acked", product=self.product, feed=feed, key=key)

    def call(
        self,
        feed: str,
        key: str,
        body: bytes,
        content_type: str = "application/json",
        *,
        facts: Iterable[str] = (),
        lost: bool = False,
        twice: bool = False,
    ) -> str:
        """Send a callback to the hub, signed, in order, repeated until it is taken; return its id.

        The id travels as `X-Request-Id`.  `lost`: it gets lost on its way; `twice`: it is delivered two times.
        """
        answer = str(uuid4())
        if lost:
            self.journal.write("fault", product=self.product, fault="lost", path=feed, answer=None)
            return answer
        self.journal.write(
            "served", product=self.product, feed=feed, key=key, answer=answer, instance="", facts=list(facts)
        )
        self._enqueue(_Callback(feed, answer, body, content_type), 2 if twice else 1)
        return answer

    def _enqueue(self, callback: _Callback, times: int = 1) -> None:
        with self.lock:
            if self._caller is None:
                self._caller = threading.Thread(target=self._deliver, name=f"{self.product}-callbacks", daemon=True)
                self._caller.start()
            self._pending[callback.answer] = callback
        for _ in range(times):
            self._calls.put(callback)

    @property
    def undelivered(self) -> int:
        """How many callbacks have not been taken yet."""
        return self._calls.unfinished_tasks

    def close(self) -> None:
        """Stop sending callbacks, and listening."""
        if self.lines is not None:
            self.lines.close()
        self._closing.set()
        self._calls.put(None)
        if self._caller is not None:
            self._caller.join(timeout=5)

    def _deliver(self) -> None:
        base = self.settings["hooks_url"].rstrip("/")
        secret = Path(self.settings["hook_secret_file"]).read_text("utf-8").strip().encode()
        with httpx.Client(timeout=10) as client:
            while (callback := self._calls.get()) is not None:
                headers = {
                    "Content-Type": callback.content_type,
                    REQUEST_ID: callback.answer,
                    SIGNATURE: "sha256=" + hmac.new(secret, callback.body, hashlib.sha256).hexdigest(),
                }
                pause = 0.1
                while not self._closing.is_set():
                    status = _post(client, f"{base}/{callback.feed}", callback.body, headers)
                    self.journal.write(
                        "callback",
                        product=self.product,
                        feed=callback.feed,
                        answer=callback.answer,
                        status=status,
                    )
                    if 200 <= status < 300 or status in (400, 413, 422):
                        break
                    self._closing.wait(pause)
                    pause = min(pause * 2, 2.0)
                if not self._closing.is_set():
                    with self.lock:
                        self._pending.pop(callback.answer, None)
                self._calls.task_done()

    def settle(self, seconds: float = 10.0) -> bool:
        """Wait until every callback has been taken; tell whether it was."""
        end = time.monotonic() + seconds
        while self.undelivered and time.monotonic() < end:
            time.sleep(0.02)
        return not self.undelivered


_INFRASTRUCTURE = frozenset(
    (
        "town",
        "journal",
        "clock",
        "settings",
        "lock",
        "faults",
        "app",
        "keep",
        "answered",
        "_changed",
        "lines",
        "_calls",
        "_pending",
        "_caller",
        "_closing",
    )
)


class _Pickler(pickle.Pickler):
    """Writes people of the town as their numbers: there is one of each."""

    def persistent_id(self, value: object) -> tuple[str, str] | None:
        if isinstance(value, Person):
            return "person", value.citizen
        if isinstance(value, Child):
            return "child", value.external_id
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, town: Town) -> None:
        super().__init__(file)
        self._town = town

    def persistent_load(self, named: tuple[str, str]) -> Person | Child:
        kind, number = named
        return self._town.person(number) if kind == "person" else self._town.child(number)


@dataclass(frozen=True, slots=True)
class _Callback:
    feed: str
    answer: str
    body: bytes
    content_type: str


def _post(client: httpx.Client, url: str, body: bytes, headers: Mapping[str, str]) -> int:
    try:
        return client.post(url, content=body, headers=headers).status_code
    except httpx.HTTPError:
        return 0


def _named(product: str, name: str) -> str:
    """Name a file's answer: the same each time it is read."""
    return str(uuid5(NAMESPACE_URL, f"{product}/{name}"))


def instance_of(request: Request) -> str:
    """Tell which intake process asks: the comment of its `User-Agent`."""
    found = re.search(r"\(([^)]*)\)", request.headers.get("user-agent", ""))
    return found.group(1) if found else ""
