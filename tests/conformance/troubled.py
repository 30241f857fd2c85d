"""A vendor with something wrong before it, and the way in as the roles put it together, with lists for topics."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import catalogue
from hub.config import Settings, Source
from hub.model.connector import Connector
from hub.model.decision import Decision, Deliver, Quarantine
from hub.model.event import Event
from hub.model.intake import Emit
from hub.model.record import Origin, Record
from hub.pipeline.parking import Partition, decide
from hub.repeating import Repeating
from hub.roles import intake
from hub.telemetry import Telemetry
from hub.telemetry.events import RecordsDecided
from hub.testing.lines import LineServer, Talk
from hub.testing.simulator import HTML_PAGE, Simulator, _Callback
from hub.testing.town.host import Host, Server, find_simulators
from hub.testing.town.journal import Journal
from hub.testing.town.schedule import school_day
from hub.testing.town.step import Step

TOKENS = "/the-gate/token"
FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode xmlns:wsse="http://'
    b'docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">wsse:FailedAuthentication</faultcode>'
    b"<faultstring>Zoe ESSAI</faultstring></s:Fault></s:Body></s:Envelope>"
)


@dataclass
class Gate:
    """Stands before a vendor, over HTTP or in lines, and spoils what it answers from a question on."""

    trouble: str = ""
    """`401` or `403`; `page`: HTML; `cut`: half of what is announced; `short`: half; `fault`, `fault500`: of SOAP;
    `expired`: a token that it has seen is not known any more."""
    after: int = 0
    """How many questions are answered well before."""
    seen: int = 0
    struck: int = 0
    tokens: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    app: ASGIApp | None = None

    def set(self, trouble: str, after: int = 0) -> None:
        """Let something go wrong from now on; nothing: all is well."""
        self.trouble, self.after, self.seen = trouble, after, 0

    def _strikes(self) -> bool:
        self.seen += 1
        if not self.trouble or self.seen <= self.after:
            return False
        self.struck += 1
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or not."""
        assert self.app is not None
        headers = dict(scope["headers"])
        if scope["path"] == TOKENS:
            body = json.dumps({"access_token": f"token-{len(self.tokens)}", "expires_in": 600}).encode()
            await _answer(send, 200, body)
            return
        kind, _, token = headers.get(b"authorization", b"").decode().partition(" ")
        strikes = self._strikes()
        if kind == "Bearer":
            self.tokens.add(token)
        if self.trouble == "expired":
            if strikes and not self.ended:
                self.ended |= self.tokens
            strikes = kind == "Bearer" and token in self.ended
        if not strikes:
            await self.app(scope, receive, send)
        elif self.trouble in ("401", "403", "expired"):
            await _answer(send, 401 if self.trouble == "expired" else int(self.trouble), b"")
        elif self.trouble in ("page", "fault", "fault500"):
            page = self.trouble == "page"
            await _answer(send, 500 if self.trouble == "fault500" else 200, HTML_PAGE if page else FAULT, page=page)
        else:
            await self._halve(scope, receive, send)

    async def _halve(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        assert self.app is not None
        await self.app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        if len(body) < 2:
            self.struck -= 1
            for message in messages:
                await send(message)
            return
        start, half = messages[0], body[: len(body) // 2]
        length = len(body) if self.trouble == "cut" else len(half)
        kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        await send({**start, "headers": [*kept, (b"content-length", str(length).encode())]})
        await send({"type": "http.response.body", "body": half, "more_body": self.trouble == "cut"})
        # Returning before the announced length is what makes the server break the connection.

    def before(self, lines: LineServer) -> None:
        """Stand before a vendor that speaks in lines; a refusal is its own to say."""
        speak = lines._speak

        def spoilt(talk: Talk, line: bytes) -> bytes:
            said = speak(talk, line)
            if not self._strikes():
                return said
            if self.trouble == "page":
                return b"HTTP/1.1 400 Bad Request\r"
            half = said[: len(said) // 2]
            return half if self.trouble == "cut" else half + b"\r"

        lines._speak = spoilt


async def _answer(send: Send, status: int, body: bytes, *, page: bool = False) -> None:
    kind = b"text/html" if page else b"application/json" if body[:1] == b"{" else b"text/xml"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class TlsServer(Server):
    """The same over TLS; `shows` changes the certificate for connections to come."""

    def __init__(self, app: ASGIApp, pem: Path) -> None:
        """`pem` holds key and certificate."""
        super().__init__(app)
        self.url = self.url.replace("http:", "https:")
        self._config = uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="off", ssl_certfile=pem, timeout_keep_alive=60
        )
        self._config.load()
        self._server.config = self._config

    def shows(self, pem: Path) -> None:
        """Show another certificate."""
        assert self._config.ssl is not None
        self._config.ssl.load_cert_chain(pem)


def certificate(path: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that signs itself; return the path."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) - timedelta(minutes=5)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    written = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)
    path.write_bytes(written)
    return path


MORNING = "10:15"


class Village:
    """A town of which each vendor is kept as it was in the morning and in the evening of one day."""

    def __init__(self, folder: Path) -> None:
        """Live the day at once, without a hub; calls to it are kept."""
        self.folder = folder
        self.calls: dict[str, list[_Callback]] = {product: [] for product in find_simulators()}
        self.host = Host(folder, seed=38185, families=12, hooks_url="http://127.0.0.1:1/hooks")
        world = self.host.world
        with patch.object(Simulator, "_enqueue", self._keep):
            world.wake()
            steps = sorted(school_day(world), key=lambda step: step.time)
            self.morning = self._after(step for step in steps if step.time < MORNING)
            self.evening = self._after(step for step in steps if step.time >= MORNING)
        self.moment = world.clock()
        self.clock = lambda: self.moment

    def _after(self, steps: Iterable[Step]) -> dict[str, bytes]:
        world = self.host.world
        for step in steps:
            # What needs that somebody has read before does not happen here.
            with suppress(ValueError, KeyError):
                step.do(world)
        return {product: simulator.save() for product, simulator in world.simulators.items()}

    @property
    def _keep(self) -> Callable[[Simulator, _Callback, int], None]:
        def keep(simulator: Simulator, callback: _Callback, _times: int = 1) -> None:
            self.calls[simulator.product].append(callback)

        return keep

    def subjects(self, product: str) -> list[str]:
        """Return whom the vendor said something of, as they would be linked."""
        said = {entry["subject"] for entry in self.host.journal.entries("said") if entry["product"] == product}
        return sorted(subject.removeprefix(f"{product}:") for subject in said)

    def vendor(self, product: str, folder: Path) -> Simulator:
        """Return the vendor as it is in the morning, with secrets of its own."""
        there = Path(self.host.world.simulators[product].settings["secrets_dir"])
        here = shutil.copytree(there, folder / "vendor")
        settings = {
            **self.host.world.simulators[product].settings,
            "secrets_dir": str(here),
            "hook_secret_file": str(here / "hook"),
        }
        simulator = find_simulators()[product](self.host.world.town, Journal(folder / "journal"), self.clock, settings)
        simulator.restore(self.morning[product])
        simulator.listen()
        return simulator

    @property
    def names(self) -> set[str]:
        """What names a person of the town."""
        return {word for one in self.host.world.town.persons for word in (one.family_name, *one.given_names)}


class Stepped(Repeating):
    """Takes its turns at once in this thread, and lets something happen between two."""

    def __init__(self, name: str, turn: Callable[[threading.Event], float], turns: Any) -> None:
        super().__init__(name, self._one, turns)
        self._poll = turn
        self.between: list[Callable[[], None]] = []

    def start(self) -> None:
        """Wait for `run`."""

    def _one(self, halt: threading.Event) -> float:
        try:
            self._poll(threading.Event())
        finally:
            if self.between:
                self.between.pop(0)()
            else:
                halt.set()
        return 0.0


class Desk:
    """Intake and normalise of one product."""

    def __init__(self, connector: Connector, source: Source, subjects: list[str]) -> None:
        self.connector = connector
        self.product = connector.product
        self.cursor: Mapping[str, Any] = {}
        self.said = StringIO()
        self.telemetry = Telemetry("intake", [self.product], stream=self.said, level="debug")
        self.partition = Partition()
        self.raw: list[Emit] = []
        self.decisions: list[Decision] = []
        self.events: dict[str, str] = {}
        settings = Settings(connectors={self.product: source})
        runtime: Any = SimpleNamespace(
            connectors={self.product: connector}, settings=settings, telemetry=self.telemetry
        )
        store: Any = SimpleNamespace(polled=lambda *_: None, linked_subjects=lambda _: subjects)
        blobs: Any = SimpleNamespace(keep=lambda data: f"{len(data):064}")
        self.pollers = intake._Pollers(runtime, intake._Ports(runtime, self, store, blobs), store)  # type: ignore[arg-type]

    def emit(self, _product: str, wish: Emit) -> str:
        """Take a record, and decide it."""
        offset = len(self.raw)
        self.raw.append(wish)
        record = Record(
            product=self.product,
            feed=wish.feed,
            key=wish.key.encode(),
            value=wish.value,
            raw_id=wish.raw_id or f"made-up-{offset}",
            read_at=wish.read_at,
            origin=Origin(f"raw.{self.product}", 1, 0, offset),
            content_type=wish.content_type,
        )
        decided = decide([record], self.partition, self.connector, catalogue.schemas())
        RecordsDecided(self.product, decided.decisions).emit(self.telemetry)
        self.decisions += decided.decisions
        for decision in decided.decisions:
            if isinstance(decision, Deliver):
                event = decision.event
                self.events.setdefault(event.id, _told(event))
        return record.raw_id

    def keep(self, _topic: str, _key: bytes, value: bytes) -> None:
        """Keep the cursor."""
        self.cursor = json.loads(value)

    def turns(self, *between: Callable[[], None]) -> None:
        """Take the lease anew, and one turn more than there are things between."""
        self.pollers.taken(self.product, self.cursor)
        thread = self.pollers._threads[self.product]
        assert isinstance(thread, Stepped)
        thread.between = list(between)
        thread.run()

    def count(self, name: str, **labels: str) -> float:
        """Read a metric of the product."""
        return self.telemetry.registry.get_sample_value(name, {"product": self.product, **labels}) or 0.0

    def polls(self) -> dict[str, int]:
        """Return how many turns ended how: `good`, `broken`, or a cause."""
        found = {}
        for metric in self.telemetry.polls.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total") and sample.value:
                    found[sample.labels["code"] or sample.labels["result"]] = int(sample.value)
        return found

    def facts(self) -> Counter[str]:
        """Return what was delivered, each as often as it would reach SQL."""
        return Counter(self.events.values())

    def codes(self) -> set[str]:
        """Return why records were set aside."""
        return {str(decision.code) for decision in self.decisions if isinstance(decision, Quarantine)}

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Return what was logged."""
        found = [json.loads(line) for line in self.said.getvalue().splitlines()]
        return [line for line in found if line["event"] == event or not event]

    def words(self) -> set[str]:
        """Return every word that was logged."""
        return set(re.findall(r"[\w-]+", self.said.getvalue()))


def _told(event: Event) -> str:
    """Name a fact without its measures: free places come and go between two questions."""
    fields = ((field.name, getattr(event.payload, field.name)) for field in dataclasses.fields(event.payload))  # type: ignore[arg-type]
    told = {name: value for name, value in fields if not isinstance(value, int | float)}
    return f"{event.type} {event.subject} {told}"


def source_of(vendor: Simulator, url: str, folder: Path) -> tuple[Source, list[Path]]:
    """Return what a city writes to reach the vendor, with copies of the secrets; those the vendor looks at are told."""
    connector = catalogue.connectors()[vendor.product]
    settings = dict(vendor.city_settings(url))
    own = dict(settings.get("credentials", {}))
    secrets, credentials = [], {}
    folder.mkdir()
    for name, credential in own.items():
        secrets.append(Path(shutil.copy(credential["secret_file"], folder / name)))
        credentials[name] = {**credential, "secret_file": str(secrets[-1])}
    for name, kind in connector.manifest.credentials.items():
        if name not in own and kind != "hmac" and not own:
            (folder / name).write_text("a-secret-of-ours", "utf-8")
            about = {"kind": kind, "client_id": "hub", "secret_file": str(folder / name)}
            credentials[name] = about | ({"token_url": f"{url}{TOKENS}"} if kind == "oauth2" else {})
    settings |= {"credentials": credentials, "rate_per_second": 10_000, "poll_seconds": 1}
    return Source.model_validate(settings), secrets


def served(app: ASGIApp) -> Iterator[Server]:
    """Serve over HTTP."""
    with Server(app) as server:
        yield server
