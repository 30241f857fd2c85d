"""The account page: entries of a citizen's subjects, folded into what stands now.

Pure: handed entries in the promised order per subject, links and the day, it returns blocks in
the words of a resident.  No entry holds the title of a loan: titles are the public catalogue's, and
meet the loan on the page only.  Each line keeps the entry that last said it: whoever asks why it is
there is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from hub.calendar import CutOff
from hub.locale import day_words

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
OTHER_REQUESTS = {
    "CensusDeclared": "Recensement citoyen",
    "PartnershipFiled": "Dossier de PACS",
    "HolidayWatchRequested": "Surveillance du domicile pendant les vacances",
}
PERMITS = {"PARKING": "Stationnement résident", "TICKET": "Abonnement résident"}
PERMIT_STATUSES = {
    "GRANTED": ("Accordé", "good"),
    "REFUSED": ("Refusé", "warn"),
    "PAID": ("Payé", "good"),
    "EXPIRING": ("Se termine bientôt", "warn"),
}
NOTHING_LINKED = {
    "canteen": "Aucun enfant n'est relié à votre compte.",
    "library": "Aucune carte de bibliothèque n'est reliée à votre compte.",
    "requests": "Aucune demande n'est reliée à votre compte.",
}
SHOWS = {
    "canteen": ("hub.school_catering.Meal", "hub.school_catering.Absence"),
    "library": ("hub.library.Loan", "hub.library.Hold"),
    "requests": ("hub.civil_registry.", "hub.citizen_portal.Form"),
    "disruptions": ("hub.transport.Disruption",),
    "bills": ("hub.school_catering.Bill", "hub.school_catering.Account", "hub.school_catering.Tariff"),
    "permits": ("hub.transport.Permit",),
}
"""By block, how the types begin of which it is made."""
PERSONAL = tuple(name for name in SHOWS if name != "disruptions")
"""Blocks that a link can be limited to, and a token."""
SPEAKERS = {
    "canteen": "la restauration scolaire",
    "library": "la bibliothèque",
    "requests": "le service des démarches",
    "disruptions": "le réseau de transport",
    "bills": "le service de facturation",
    "permits": "le service du stationnement",
}
"""Who is behind a block, as a resident would say it."""
NOUNS = {
    "canteen": "Inscription scolaire",
    "library": "Carte de bibliothèque",
    "requests": "Demande",
    "bills": "Compte famille",
    "permits": "Titre de stationnement",
}
"""What a link is about, by the first block that its product feeds."""
LATE_POLLS, LATE_AT_LEAST = 3, timedelta(minutes=10)
"""A source is late after so many polls without an answer, but not within so short a time."""


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
    def read_at(self) -> int:
        """UTC milliseconds."""

    @property
    def rev(self) -> int:
        """Revision of the mapping that says it."""

    @property
    def payload(self) -> Mapping[str, Any]:
        """Canonical payload as JSON values."""


class Linked(Protocol):
    """What narrows what a citizen sees of a subject."""

    @property
    def subject(self) -> str:
        """Whom or what the link is about."""

    @property
    def scope(self) -> Collection[str]:
        """Names of blocks that it is limited to; empty: all."""


class Pace(NamedTuple):
    """How often sources are asked, and which are not listened to for now."""

    seconds: Mapping[str, float] = {}
    """By product, between two polls; one that only calls is not in it."""
    paused: Collection[str] = ()


E = TypeVar("E", bound=Entry)


@dataclass
class Line:
    """One line of a block."""

    what: str
    detail: str = ""
    state: str = ""
    tone: str = ""
    """`good`, `warn` or nothing: how it is coloured; the words say it too."""
    order: str = ""
    until: str = ""
    """Until when something can be done about it."""
    said: Entry | None = field(default=None, repr=False, compare=False)
    """The entry that last changed it."""


@dataclass
class Block:
    """One part of the page."""

    name: str
    title: str
    empty: str
    lines: list[Line] = field(default_factory=list)
    as_of: datetime | None = None
    trouble: str = ""
    """What keeps it from being up to date, in a sentence."""


def visible(entries: Iterable[E], links: Iterable[Linked]) -> list[E]:
    """Return the entries that a citizen's links let through: a link that names blocks shows nothing else."""
    shown = {link.subject: prefixes(link.scope) for link in links}
    return [entry for entry in entries if entry.type.startswith(shown.get(entry.subject, ()))]


def subject_words(subject: str, types: Iterable[str]) -> str:
    """Say what a link is about, from what its product tells and the number that the family knows."""
    told = list(types)
    name = next((name for name in NOUNS if any(one.startswith(SHOWS[name]) for one in told)), "")
    return f"{NOUNS.get(name, 'Dossier')} n° {subject.partition(':')[2]}"


def prefixes(scope: Collection[str]) -> tuple[str, ...]:
    """Return how the types begin that a scope lets through; a word that is no block's lets nothing through."""
    return tuple(prefix for name in PERSONAL if not scope or name in scope for prefix in SHOWS[name])


def blocks(
    entries: Iterable[Entry],
    disruptions: Iterable[Entry],
    lines: Iterable[str],
    now: datetime,
    fresh: Mapping[str, int],
    sources: Mapping[str, Collection[str]],
    titles: Mapping[tuple[str, str], str],
    cut_off: CutOff | None = None,
    pace: Pace = Pace(),
) -> list[Block]:
    """Return the four blocks that every account has, and those that this one has something for.

    `fresh` is the moment (ms) up to which each product is known; `sources` names, by product, the types
    that it says of this citizen or of the town; `titles` are those of `works`.  Without a `cut_off` no line
    tells until when a meal can be changed.
    """
    known = list(entries)
    today = now.astimezone(CITY).date()
    chosen = set(lines)
    parts = [
        Block("canteen", "Cantine cette semaine", "Aucune réservation cette semaine."),
        Block("library", "Bibliothèque : prêts et réservations", "Aucun prêt ni réservation."),
        Block("requests", "Mes demandes", "Aucune demande en cours."),
        Block("disruptions", "Perturbations sur mes lignes", "Aucune perturbation sur vos lignes."),
        Block("bills", "Factures et tarif", ""),
        Block("permits", "Stationnement et abonnements", ""),
    ]
    for block in parts:
        said = [entry for entry in known if entry.type.startswith(SHOWS[block.name])]
        match block.name:
            case "canteen":
                block.lines = _canteen(said, now, cut_off)
            case "library":
                block.lines = _library(said, today, titles)
            case "requests":
                block.lines = _requests(said)
            case "disruptions":
                block.lines = _disruptions(disruptions, chosen, today)
                if not chosen:
                    block.empty = "Vous ne suivez aucune ligne : choisissez-les dans vos préférences MonGrenoble."
            case "bills":
                block.lines = _bills(said, today)
            case "permits":
                block.lines = _permits(said)
        behind = [
            product for product, types in sources.items() if any(name.startswith(SHOWS[block.name]) for name in types)
        ]
        block.empty = block.empty if behind else NOTHING_LINKED.get(block.name, block.empty)
        moments = [fresh[product] for product in behind if product in fresh]
        if moments:
            # The oldest of its sources: a block is no fresher than that.
            block.as_of = datetime.fromtimestamp(min(moments) / 1000, CITY)
        block.trouble = _trouble(block.name, behind, fresh, pace, now)
    return [block for block in parts if block.lines or block.empty]


def next_word(product: str, fresh: Mapping[str, int], pace: Pace) -> datetime | None:
    """Return when a product is expected to say more; None for one that calls when it has something to say."""
    if product not in pace.seconds or product not in fresh:
        return None
    return datetime.fromtimestamp(fresh[product] / 1000 + pace.seconds[product], CITY)


def _trouble(name: str, behind: Collection[str], fresh: Mapping[str, int], pace: Pace, now: datetime) -> str:
    speaker = SPEAKERS[name]
    if any(product in pace.paused for product in behind):
        return f"Les nouvelles informations de {speaker} sont suspendues pour vérification.".replace("de le ", "du ")
    late = [
        known
        for product in behind
        if product in pace.seconds and (known := fresh.get(product)) is not None
        if now.timestamp() - known / 1000 > max(LATE_POLLS * pace.seconds[product], LATE_AT_LEAST.total_seconds())
    ]
    if not late:
        return ""
    since = datetime.fromtimestamp(min(late) / 1000, CITY)
    return f"{speaker[0].upper()}{speaker[1:]} n'a pas répondu depuis {_moment(since, now)}."


def _moment(moment: datetime, now: datetime) -> str:
    """Say a moment by its time, and by its day unless that is today."""
    moment = moment.astimezone(CITY)
    told = moment.strftime("%H:%M")
    return told if moment.date() == now.astimezone(CITY).date() else f"le {day_words(moment.date())} à {told}"


def works(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Return what was lent and reserved: product, and number in its catalogue."""
    return {
        (entry.product, entry.payload["record_id"])
        for entry in entries
        if entry.type.startswith(SHOWS["library"]) and entry.payload.get("record_id")
    }


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


def _canteen(entries: Iterable[Entry], now: datetime, cut_off: CutOff | None) -> list[Line]:
    today = now.astimezone(CITY).date()
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
        line.said, line.until = entry, ""
        match entry.type.rpartition(".")[2]:
            case "MealBooked":
                line.until = _changeable(day, now, cut_off)
                waiting = payload.get("waiting_list")
                line.state, line.tone = ("Sur liste d'attente", "warn") if waiting else ("Réservé", "good")
            case "MealCancelled":
                line.until = _changeable(day, now, cut_off)
                line.state, line.tone = "Annulé", ""
            case "MealEaten":
                line.state, line.tone = "Présent", "good"
            case "AbsenceRecorded":
                line.state, line.tone = "Absent", "warn"
    return sorted(bookings.values(), key=lambda line: line.order)


def _changeable(day: date, now: datetime, cut_off: CutOff | None) -> str:
    if cut_off is None:
        return ""
    last = cut_off.of(day)
    if now > last:
        return "Ne peut plus être modifié" if day >= now.astimezone(CITY).date() else ""
    when = "à aujourd'hui" if last.date() == now.astimezone(CITY).date() else f"au {day_words(last.date())}"
    return f"Modifiable jusqu'{when}, {last.strftime('%H:%M')}"


def _library(entries: Iterable[Entry], today: date, titles: Mapping[tuple[str, str], str]) -> list[Line]:
    loans: dict[tuple[str, str], Line] = {}
    holds: dict[tuple[str, str], Line] = {}
    for entry in entries:
        payload = entry.payload
        kind = entry.type.rpartition(".")[2]
        title = titles.get((entry.product, payload.get("record_id", "")), "")
        if kind.startswith("Loan"):
            key = (entry.subject, payload["item_id"])
            if kind == "LoanReturned":
                loans.pop(key, None)
                continue
            # A document that is lent has been collected; where no work is named, the item was reserved.
            for hold in [
                name
                for name, line in holds.items()
                if name == key or (name[0] == entry.subject and line.order and line.order == payload["record_id"])
            ]:
                del holds[hold]
            due = _day(payload.get("due_date"))
            if due is None:  # Not every library says when.
                late = kind == "LoanOverdue"
                state = "En retard" if late else ""
            else:
                late = due < today
                state = ("En retard depuis le " if late else "À rendre le ") + day_words(due)
            loans[key] = Line(
                title or "Document emprunté",
                _notice(payload, title),
                state,
                "warn" if late else "",
                order=payload.get("due_date") or "",
                until=f"À prolonger au plus tard le {day_words(due)}, si personne ne l'attend"
                if due and not late
                else "",
                said=entry,
            )
        elif kind.startswith("Hold"):
            key = (entry.subject, payload["hold_id"])
            if kind == "HoldCancelled":
                holds.pop(key, None)
                continue
            until = _day(payload.get("until"))
            ready = kind == "HoldReady"
            holds[key] = Line(
                f"Réservation : {title}" if title else "Réservation",
                _notice(payload, title),
                ("Disponible" + (f" jusqu'au {day_words(until)}" if until else "")) if ready else "En attente",
                "good" if ready else "",
                order=payload["record_id"],
                said=entry,
            )
    return sorted(loans.values(), key=lambda line: line.order) + list(holds.values())


def _notice(payload: Mapping[str, Any], title: str) -> str:
    record = f"Notice {payload['record_id']}" if payload.get("record_id") and not title else ""
    return ", ".join(part for part in (record, payload.get("branch")) if part)


def _bills(entries: Iterable[Entry], today: date) -> list[Line]:
    bills: dict[tuple[str, str], Line] = {}
    accounts: dict[tuple[str, str], Line] = {}
    tariffs: dict[str, Line] = {}
    for entry in entries:
        payload = entry.payload
        match entry.type.rpartition(".")[2]:
            case "BillIssued":
                due = _day(payload.get("due_on"))
                late = due is not None and due < today
                until = (
                    f"{'En retard depuis le' if late else 'À payer avant le'} {day_words(due)}" if due else "À payer"
                )
                bills[entry.subject, payload["bill_id"]] = Line(
                    payload.get("label") or "Facture",
                    _euros(payload["amount_cents"]),
                    until,
                    "warn" if late else "",
                    order=payload.get("due_on") or "9999",
                    said=entry,
                )
            case "BillPaid":
                bills[entry.subject, payload["bill_id"]] = Line(
                    payload.get("label") or "Facture",
                    _euros(payload["amount_cents"]),
                    "Payée",
                    "good",
                    order="paid",
                    said=entry,
                )
            case "AccountBalanceChanged":
                owed = payload["balance_cents"] < 0
                accounts[entry.subject, payload["account_id"]] = Line(
                    payload.get("label") or "Compte",
                    _euros(payload["balance_cents"]),
                    "Débiteur" if owed else "",
                    "warn" if owed else "",
                    said=entry,
                )
            case "TariffBandGranted":
                last = _day(payload.get("valid_until"))
                if last is not None and last >= today:
                    state = f"Jusqu'au {day_words(last)}"
                    tariffs[entry.subject] = Line(
                        "Tarif de la restauration scolaire", f"Tranche {payload['band']}", state, said=entry
                    )
    return [*sorted(bills.values(), key=lambda line: line.order), *accounts.values(), *tariffs.values()]


def _euros(cents: int) -> str:
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole},{rest:02} €"


def _permits(entries: Iterable[Entry]) -> list[Line]:
    found: dict[str, Line] = {}
    for entry in entries:
        payload = entry.payload
        line = found.setdefault(entry.subject, Line("", state="Demandé", order=str(entry.occurred_at)))
        line.said = entry
        line.what = PERMITS.get(payload.get("kind", ""), "Titre")
        line.detail = line.detail or f"n° {payload['permit']}"
        if entry.type.endswith(".PermitStatusChanged"):
            line.state, line.tone = PERMIT_STATUSES.get(payload.get("status", ""), ("En cours", ""))
            until = _day(payload.get("valid_until"))
            zone = f", zone {payload['zone']}" if payload.get("zone") else ""
            line.detail = f"n° {payload['permit']}{zone}" + (f", jusqu'au {day_words(until)}" if until else "")
    return sorted(found.values(), key=lambda line: line.order, reverse=True)


def _requests(entries: Iterable[Entry]) -> list[Line]:
    found: dict[str, Line] = {}
    for entry in entries:
        payload = entry.payload
        kind = entry.type.rpartition(".")[2]
        if kind == "ElectorRemoved":
            found.pop(entry.subject, None)
            continue
        line = found.setdefault(entry.subject, Line("Demande", order=str(entry.occurred_at)))
        line.said = entry
        match kind:
            case "ElectorRegistered":
                line.what, line.state, line.tone = "Liste électorale", "Inscription en cours de validité", "good"
                line.detail = f"bureau de vote n° {payload['station']}, {payload['station_name']}".rstrip(", ")
            case "CensusDeclared" | "PartnershipFiled" | "HolidayWatchRequested":
                line.what = OTHER_REQUESTS[kind]
                line.detail = f"n° {payload['external_id']}"
                line.state = line.state or "Envoyée"
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
            case "FormFiled" | "FormStatusChanged":
                form, _, number = payload["form_id"].rpartition("/")
                line.what = form.replace("-", " ").replace("_", " ").capitalize()
                line.detail = f"n° {number}"
                line.state = payload.get("status_name") or "En cours"
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
            said=entry,
        )
    return sorted(current.values(), key=lambda line: line.order)
