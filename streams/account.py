"""The account page: entries of a citizen's subjects, folded into what stands now.

Pure: handed entries in the promised order per subject, links and the day, it returns blocks in
the words of a resident.  It holds no title of a loan: those are the public catalogue's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

CITY = ZoneInfo("Europe/Paris")

ACTIVITIES = {"LUNCH": "Déjeuner", "MORNING_CARE": "Accueil du matin", "EVENING_CARE": "Accueil du soir"}
RECORDS = {"BIRTH": "Acte de naissance", "MARRIAGE": "Acte de mariage", "DEATH": "Acte de décès"}
STATUSES = {
    "RECEIVED": "Reçue",
    "IN_PROGRESS": "En cours de traitement",
    "AWAITING_DOCUMENTS": "En attente de pièces complémentaires",
    "DONE": "Terminée",
    "REFUSED": "Refusée",
    "INTEGRATION_ERROR": "En cours de vérification",
}
NOTHING_LINKED = {
    "school_catering": "Aucun enfant n'est relié à votre compte.",
    "library": "Aucune carte de bibliothèque n'est reliée à votre compte.",
    "civil_registry": "Aucune demande n'est reliée à votre compte.",
}
DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
MONTHS = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)


class Entry(Protocol):
    """What the fold needs of an entry."""

    @property
    def type(self) -> str:
        """Full record name."""

    @property
    def subject(self) -> str:
        """Whom or what it is about."""

    @property
    def product(self) -> str:
        """Where it came from."""

    @property
    def seq(self) -> Any:
        """Its place in the promised order."""

    @property
    def occurred_at(self) -> int:
        """UTC milliseconds."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """Canonical payload as JSON values."""


@dataclass
class Line:
    """One line of a block."""

    what: str
    detail: str = ""
    state: str = ""
    tone: str = ""
    """`good`, `warn` or nothing: how it is coloured; the words say it too."""
    order: str = ""


@dataclass
class Block:
    """One part of the page."""

    name: str
    title: str
    empty: str
    lines: list[Line] = field(default_factory=list)
    as_of: datetime | None = None


def day_words(day: date) -> str:
    """Write a day as it is spoken: « mardi 10 mars »."""
    return f"{DAYS[day.weekday()]} {'1er' if day.day == 1 else day.day} {MONTHS[day.month - 1]}"


def blocks(
    entries: Iterable[Entry],
    disruptions: Iterable[Entry],
    lines: Iterable[str],
    now: datetime,
    fresh: Mapping[str, int],
    sources: Mapping[str, Collection[str]],
) -> list[Block]:
    """Return the four blocks.

    `fresh` is the moment (ms) up to which each product is known; `sources` names, by domain, the products
    that say something about this citizen.
    """
    known = list(entries)
    today = now.astimezone(CITY).date()
    canteen = Block("canteen", "Cantine cette semaine", "Aucune réservation cette semaine.")
    library = Block("library", "Bibliothèque : prêts et réservations", "Aucun prêt ni réservation.")
    requests = Block("requests", "Mes demandes", "Aucune demande en cours.")
    traffic = Block("disruptions", "Perturbations sur mes lignes", "Aucune perturbation sur vos lignes.")
    canteen.lines = _canteen(_of(known, "hub.school_catering."), today)
    library.lines = _library(_of(known, "hub.library."), today)
    requests.lines = _requests(_of(known, "hub.civil_registry."))
    chosen = set(lines)
    traffic.lines = _disruptions(disruptions, chosen, today)
    if not chosen:
        traffic.empty = "Vous ne suivez aucune ligne : choisissez-les dans vos préférences MonGrenoble."
    for block, domain in (
        (canteen, "school_catering"),
        (library, "library"),
        (requests, "civil_registry"),
        (traffic, "transport"),
    ):
        block.empty = block.empty if sources.get(domain) else NOTHING_LINKED.get(domain, block.empty)
        moments = [fresh[product] for product in sources.get(domain, ()) if product in fresh]
        if moments:
            # The oldest of its sources: a block is no fresher than that.
            block.as_of = datetime.fromtimestamp(min(moments) / 1000, CITY)
    return [canteen, library, requests, traffic]


def _of(entries: Iterable[Entry], prefix: str) -> list[Entry]:
    return [entry for entry in entries if entry.type.startswith(prefix)]


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _local_day(text: str | None) -> date | None:
    return datetime.fromisoformat(text).astimezone(CITY).date() if text else None


def _span(first: date | None, last: date | None, today: date) -> str:
    """Say from when and until when, as far as that is still to come."""
    begins = first is not None and first > today
    ends = last is not None and last >= today
    if begins and first == last:
        return f", le {day_words(first)}" if first else ""
    told = f", à partir du {day_words(first)}" if begins and first else ""
    return told + (f", jusqu'au {day_words(last)}" if ends and last else "")


def _canteen(entries: Iterable[Entry], today: date) -> list[Line]:
    monday = today - timedelta(days=today.weekday())
    # From Friday on, next week is what a family looks for.
    sunday = monday + timedelta(days=13 if today.weekday() >= 4 else 6)
    bookings: dict[tuple[str, str], Line] = {}
    entries = list(entries)
    several = len({entry.subject for entry in entries}) > 1
    for entry in entries:
        payload = entry.payload
        day = _day(payload.get("meal_date"))
        if day is None or not monday <= day <= sunday:
            continue
        line = bookings.setdefault(
            (entry.subject, payload["booking_id"]),
            Line(
                day_words(day).capitalize(),
                ACTIVITIES.get(payload.get("activity", ""), payload.get("label", ""))
                # No name is known here, and none is needed: the family knows the number.
                + (f", enfant n° {entry.subject.partition(':')[2]}" if several else ""),
                order=f"{payload['meal_date']} {payload.get('activity', '')} {entry.subject}",
            ),
        )
        match entry.type.rpartition(".")[2]:
            case "MealBooked":
                waiting = payload.get("waiting_list")
                line.state, line.tone = ("Sur liste d'attente", "warn") if waiting else ("Réservé", "good")
            case "MealCancelled":
                line.state, line.tone = "Annulé", ""
            case "MealEaten":
                line.state, line.tone = "Présent", "good"
            case "AbsenceRecorded":
                line.state, line.tone = "Absent", "warn"
    return sorted(bookings.values(), key=lambda line: line.order)


def _library(entries: Iterable[Entry], today: date) -> list[Line]:
    loans: dict[tuple[str, str], Line] = {}
    holds: dict[tuple[str, str], Line] = {}
    for entry in entries:
        payload = entry.payload
        kind = entry.type.rpartition(".")[2]
        if kind.startswith("Loan"):
            key = (entry.subject, payload["item_id"])
            if kind == "LoanReturned":
                loans.pop(key, None)
                continue
            # A document that is lent has been collected.
            for hold in [
                name for name, line in holds.items() if name[0] == entry.subject and line.order == payload["record_id"]
            ]:
                del holds[hold]
            due = _day(payload.get("due_date"))
            late = due is not None and due < today
            loans[key] = Line(
                "Document emprunté",
                f"Notice {payload['record_id']}" + (f", {payload['branch']}" if payload.get("branch") else ""),
                ("En retard depuis le " if late else "À rendre le ") + day_words(due) if due else "",
                "warn" if late else "",
                order=payload.get("due_date") or "",
            )
        else:
            key = (entry.subject, payload["hold_id"])
            if kind == "HoldCancelled":
                holds.pop(key, None)
                continue
            until = _day(payload.get("until"))
            ready = kind == "HoldReady"
            holds[key] = Line(
                "Réservation",
                f"Notice {payload['record_id']}" + (f", {payload['branch']}" if payload.get("branch") else ""),
                ("Disponible" + (f" jusqu'au {day_words(until)}" if until else "")) if ready else "En attente",
                "good" if ready else "",
                order=payload["record_id"],
            )
    return sorted(loans.values(), key=lambda line: line.order) + list(holds.values())


def _requests(entries: Iterable[Entry]) -> list[Line]:
    found: dict[str, Line] = {}
    for entry in entries:
        payload = entry.payload
        line = found.setdefault(entry.subject, Line("Demande", order=str(entry.occurred_at)))
        match entry.type.rpartition(".")[2]:
            case "RecordRequested":
                line.what = RECORDS.get(payload.get("record_kind", ""), "Acte d'état civil")
                copies = payload.get("copies") or 1
                line.detail = f"n° {payload['external_id']}, {copies} exemplaire{'s' if copies > 1 else ''}"
                line.state = line.state or "Envoyée"
            case "RequestStatusChanged":
                status = payload.get("status", "")
                line.state = STATUSES.get(status, "En cours") + (" (rouverte)" if payload.get("reopened") else "")
                line.tone = {"DONE": "good", "AWAITING_DOCUMENTS": "warn", "REFUSED": "warn"}.get(status, "")
            case "DeathDeclared":
                line.what = "Déclaration de décès"
    return sorted(found.values(), key=lambda line: line.order, reverse=True)


def _disruptions(entries: Iterable[Entry], lines: set[str], today: date) -> list[Line]:
    current: dict[str, Line] = {}
    for entry in entries:
        if entry.type.endswith(".DisruptionEnded"):
            current.pop(entry.subject, None)
            continue
        payload = entry.payload
        concerned = [line for line in payload.get("lines", ()) if line in lines]
        if not concerned:
            current.pop(entry.subject, None)
            continue
        current[entry.subject] = Line(
            payload.get("title") or "Perturbation",
            payload.get("description", ""),
            ("Lignes " if len(concerned) > 1 else "Ligne ")
            + ", ".join(line.rpartition(":")[2] for line in concerned)
            + _span(_local_day(payload.get("starts_at")), _local_day(payload.get("ends_at")), today),
            "warn",
            order=payload.get("starts_at") or "",
        )
    return sorted(current.values(), key=lambda line: line.order)
