"""The town's mail server: takes messages by SMTP, keeps them, and fails when told to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from hub.testing.town.journal import Journal, now

FAULTS: Mapping[str, str] = {
    "451": "451 4.3.0 Reessayez plus tard",
    "550": "550 5.1.1 Adresse inconnue",
    "552": "552 5.2.2 Boite pleine",
    "lost_answer": "",
}
"""What the server may answer instead of taking a message; `lost_answer` takes it and hangs up without a word."""

SUBJECTS: Mapping[str, str] = {
    "Cantine : réservation enregistrée": "MealBooked",
    "Cantine : réservations enregistrées": "MealBooked",
    "Cantine : réservation annulée": "MealCancelled",
    "Cantine : réservations annulées": "MealCancelled",
    "Cantine : absence notée": "AbsenceRecorded",
    "Cantine : absences notées": "AbsenceRecorded",
    "Bibliothèque : un document est en retard": "LoanOverdue",
    "Bibliothèque : des documents sont en retard": "LoanOverdue",
    "Bibliothèque : votre réservation est disponible": "HoldReady",
    "Bibliothèque : vos réservations sont disponibles": "HoldReady",
    "État civil : votre demande est enregistrée": "RecordRequested",
    "État civil : votre demande est ": "RequestStatusChanged",
    "Transports : perturbation": "DisruptionPublished",
}
"""Which fact a reader takes a message for, by how its subject begins; the first that fits."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that was taken."""

    at: str
    message_id: str
    to: tuple[str, ...]
    subject: str
    text: str


class Mailbox:
    """An SMTP server in a thread of its own; every message taken is in memory and in a file."""

    def __init__(self, path: Path, journal: Journal, *, hostname: str = "127.0.0.1") -> None:
        """Keep messages in `path`, one JSON object a line; what it holds already is kept."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.port = 0
        self._hostname = hostname
        self._journal = journal
        self._lock = threading.Lock()
        self._faults: list[tuple[str, int]] = []
        self._mails: list[Mail] = []
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                kept = json.loads(line)
                self._mails.append(Mail(**{**kept, "to": tuple(kept["to"])}))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mailbox", daemon=True)
        self._ready = threading.Event()

    @property
    def mails(self) -> list[Mail]:
        """Every message that was taken, in order."""
        with self._lock:
            return list(self._mails)

    def fail(self, kind: str, times: int = 1) -> None:
        """Answer the next messages with a fault of `FAULTS`."""
        if kind not in FAULTS:
            raise ValueError(f"no such fault: {kind}")
        with self._lock:
            self._faults.append((kind, times))

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a message, or fail as told."""
        fault = self._take_fault()
        if fault is not None:
            self._journal.write("fault", product="mail", fault=fault, path="", answer=None)
        message = message_from_bytes(cast(bytes, envelope.original_content), policy=policy.default)
        body = message.get_body(preferencelist=("plain", "html"))
        mail = Mail(
            at=now(),
            message_id=str(message["Message-ID"] or ""),
            to=tuple(envelope.rcpt_tos),
            subject=str(message["Subject"] or ""),
            text=body.get_content() if body is not None else "",
        )
        what: dict[str, Any] = {
            "message_id": mail.message_id,
            "recipient": recipient(mail.to),
            "type": _fact(mail.subject),
        }
        what["facts"] = _facts(mail.text)
        if fault is not None and fault != "lost_answer":
            if fault.startswith("5"):
                self._journal.write("bounced", **what)
            return FAULTS[fault]
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(mail), ensure_ascii=False) + "\n")
            self._mails.append(mail)
        self._journal.write("mail", **what)
        if fault == "lost_answer" and server.transport is not None:
            server.transport.close()
        return "250 2.0.0 Message accepte"

    def _take_fault(self) -> str | None:
        with self._lock:
            if not self._faults:
                return None
            kind, times = self._faults.pop(0)
            if times > 1:
                self._faults.insert(0, (kind, times - 1))
            return kind

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listen = self._loop.create_server(
            lambda: SMTP(self, hostname="mairie.invalid", enable_SMTPUTF8=True, loop=self._loop), self._hostname, 0
        )
        server = self._loop.run_until_complete(listen)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()


def recipient(addresses: Sequence[str]) -> str:
    """Name the recipients of a message without telling who they are."""
    return hashlib.sha256(",".join(addresses).encode()).hexdigest()[:12]


def _fact(subject: str) -> str:
    return next((fact for start, fact in SUBJECTS.items() if subject.startswith(start)), "?")


def _facts(text: str) -> int:
    """Count what a message tells: several facts are a list."""
    return max(sum(1 for line in text.splitlines() if line.startswith("- ")), 1)
