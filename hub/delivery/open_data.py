"""The turn of open data: counts what is over, gates it, writes the files that changed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from hub.config import OpenData
from hub.delivery import exports
from hub.delivery.exports import Export, File, InvalidDataset
from hub.delivery.pages import write_pages
from hub.pipeline.table_schema import check
from streams.open_data.counting import ANSWERED, CITY, answers, delay_words, is_over, period_of
from streams.open_data.dataset import Dataset, families
from streams.open_data.feeds import gtfs_rt, siri_sx
from streams.open_data.gate import Cell, Level, still, tell
from streams.open_data.history import Answered, DatasetChange
from streams.open_data.rows import (
    DOMAINS,
    KINDS,
    changes,
    completed,
    count_rows,
    counts_of,
    current,
    event_rows,
    given_names,
)

SETTLE_SECONDS = 3600.0
LATE = timedelta(hours=1)
"""What is written at midnight may be seen a little after it."""
ALERTS = "perturbations"
"""The dataset that is a feed as well."""
Rows = list[dict[str, str]]


class Shown(Protocol):
    """A public entry."""

    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def payload(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def seq(self) -> Any: ...  # noqa: D102


class Facts(Protocol):
    """What open data asks of the database."""

    def public_entries(self, types: Collection[str]) -> Sequence[Shown]: ...  # noqa: D102
    def facts(self, fact: str) -> list[tuple[str, str, str, int]]: ...  # noqa: D102
    def answered(  # noqa: D102
        self, requests: Collection[str], answers: Callable[[str, Mapping[str, Any]], bool], kinds: Collection[str]
    ) -> list[Answered]: ...
    def count(self, facts: Sequence[tuple[str, str, str, str, str, int]]) -> None: ...  # noqa: D102
    def count_traffic(self, day_of: Callable[[datetime], date], today: date) -> None: ...  # noqa: D102
    def traffic(self) -> Mapping[str, Counter[tuple[str]]]: ...  # noqa: D102
    def told(self, datasets: Collection[str]) -> Mapping[tuple[str, str], dict[Cell, int]]: ...  # noqa: D102
    def tell(self, period_cells: Mapping[tuple[str, str], Mapping[Cell, int]], now: datetime) -> None: ...  # noqa: D102
    def changed(self, dataset: str, change: DatasetChange) -> None: ...  # noqa: D102
    def changes(self, dataset: str) -> list[DatasetChange]: ...  # noqa: D102


class Told(Protocol):
    """What a turn tells about itself."""

    def written(self, dataset: str, rows: int, at: float) -> None: ...  # noqa: D102
    def sound(self, dataset: str, withdrawn: int) -> None: ...  # noqa: D102
    def refused(self, dataset: str, problem: str) -> None: ...  # noqa: D102


class OpenDataTurn:
    """Looks at every dataset once per turn; one that cannot be published holds up no other."""

    def __init__(
        self,
        facts: Facts,
        settings: OpenData,
        datasets: Mapping[str, Dataset],
        root: str,
        told: Told,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`root` is the address at which the folder is served."""
        self._facts = facts
        self._settings = settings
        self._datasets = datasets
        self._root = root
        self._told = told
        self._clock = clock
        self._settled = 0.0
        self._exports: dict[str, Export] = {}
        self._fed = False

    def __call__(self, _halt: threading.Event) -> float:
        """Write what changed; return the seconds to rest."""
        now = self._clock()
        if not self._settled or time.monotonic() - self._settled > SETTLE_SECONDS:
            self._settle(now)
            self._settled = time.monotonic()
        before = dict(self._exports)
        tables: list[tuple[Dataset, Rows, int]] = []

        def attempt(names: Iterable[str], work: Callable[[], Iterable[tuple[Dataset, Rows, int]]]) -> None:
            try:
                tables.extend(work())
            except InvalidDataset as error:
                for name in names:
                    self._told.refused(name, str(error))

        for members in families(self._datasets.values()):
            attempt([member.name for member in members], lambda members=members: self._counted(members, now))  # type: ignore[misc]
        for dataset in self._datasets.values():
            if dataset.counted is None and dataset.manifest.select in ("events", "supplied"):
                attempt([dataset.name], lambda dataset=dataset: self._listed(dataset))  # type: ignore[misc]
        for dataset, rows, withdrawn in tables:
            attempt([dataset.name], lambda d=dataset, r=rows, w=withdrawn: self._write(d, r, w, now))  # type: ignore[misc]
        for dataset in self._datasets.values():
            if dataset.manifest.select == "catalogue":
                attempt([dataset.name], lambda d=dataset: self._write(d, self._catalogue_rows(d), 0, now))  # type: ignore[misc]
        if not self._fed or any(before.get(name) is not export for name, export in self._exports.items()):
            self._describe(now)
            self._fed = True
        return self._settings.seconds

    def _settle(self, now: datetime) -> None:
        """Count what is told by more than one event, and the days of traffic that are over."""
        requests = [event for dataset in self._datasets.values() if dataset.manifest.fact == "request"
                    for event in dataset.manifest.events]  # fmt: skip
        self._facts.count(
            [
                (
                    found.event_id,
                    "request",
                    period_of("month", _moment(found.answered_at)),
                    KINDS[found.request],
                    delay_words(_moment(found.asked_at), _moment(found.answered_at)),
                    found.rev,
                )
                for found in self._facts.answered(requests, answers, list(ANSWERED))
            ]
        )
        self._facts.count_traffic(lambda moment: moment.astimezone(CITY).date(), (now - LATE).astimezone(CITY).date())

    def _counted(self, members: Sequence[Dataset], now: datetime) -> list[tuple[Dataset, Rows, int]]:
        """Gate datasets that share their totals, together."""
        finest = members[-1]
        names = [member.name for member in members]
        counts = self._counts(finest)
        known = self._facts.told(names)
        if not counts and not known and finest.manifest.select == "supplied":
            return []
        levels = self._levels(members)
        today = now.astimezone(CITY).date()
        fresh: dict[tuple[str, str], Mapping[Cell, int]] = {}
        for period in sorted(counts):
            if is_over(period, today, finest.manifest.settle_days) and not any(
                (name, period) in known for name in names
            ):
                gated = tell(counts[period], levels)
                fresh.update({(name, period): cells for name, cells in zip(names, gated, strict=True)})
        # What does not fit its schema is not told, so that it can be corrected.
        for member in members:
            rows = count_rows(member, {period: cells for (name, period), cells in fresh.items() if name == member.name})
            if wrong := check(member.schema, member.columns, rows):
                raise InvalidDataset(f"{member.name}: {wrong[0].field} ({wrong[0].code}); correct the source")
        self._facts.tell(fresh, now)
        first = self._facts.told(names) if fresh else known
        left: dict[str, dict[str, dict[Cell, int]]] = {name: {} for name in names}
        for period in {period for _, period in first}:
            said = [first.get((name, period), {}) for name in names]
            for name, cells in zip(names, still(said, counts.get(period, {}), levels), strict=True):
                left[name][period] = cells
        return [
            (
                member,
                count_rows(member, left[member.name]),
                sum(len(cells) for (name, _), cells in first.items() if name == member.name)
                - sum(len(cells) for cells in left[member.name].values()),
            )
            for member in members
        ]

    def _counts(self, finest: Dataset) -> Mapping[str, Mapping[Cell, int]]:
        manifest = finest.manifest
        if manifest.select == "supplied":
            return counts_of(finest, self._supplied(finest))[0]
        if "domain" in finest.origins:
            return {
                day: {(DOMAINS.get(domain, domain),): count for (domain,), count in counts.items()}
                for day, counts in self._facts.traffic().items()
            }
        found: dict[str, Counter[Cell]] = {}
        for period, place, kind, count in self._facts.facts(manifest.fact):
            found.setdefault(period, Counter())[(place, kind)[: len(finest.dimensions)]] += count
        return found

    def _levels(self, members: Sequence[Dataset]) -> list[Level]:
        own = self._settings.thresholds
        return [(len(m.dimensions), own[m.name].least if m.name in own else m.manifest.threshold) for m in members]

    def _supplied(self, dataset: Dataset) -> Rows:
        rows = exports.read_rows(self._settings.supplied / f"{dataset.name}.csv")
        if rows and "preusuel" in rows[0]:
            pattern = next(
                f["constraints"]["pattern"] for f in dataset.schema["fields"] if f["name"] == "ENFANT_PRENOM"
            )
            return given_names(rows, self._settings.commune, self._settings.insee, pattern)[0]
        needed = [field["name"] for field in dataset.schema["fields"] if field.get("constraints", {}).get("required")]
        missing = [name for name in needed if rows and name not in rows[0]]
        unknown = [name for name in (rows[0] if rows else ()) if name not in dataset.columns]
        if missing or unknown:
            raise InvalidDataset(
                f"{dataset.name}.csv: column {(missing + unknown)[0]} is missing or unknown; correct it"
            )
        return rows

    def _listed(self, dataset: Dataset) -> list[tuple[Dataset, Rows, int]]:
        payloads = list(self._current(dataset).values())
        if dataset.manifest.select == "events":
            return [(dataset, event_rows(dataset, payloads), 0)]
        rows = self._supplied(dataset)
        known = (self._settings.folder / exports.files_of(dataset, self._settings.warehouse)[0].path).exists()
        return [(dataset, completed(dataset, rows, payloads), 0)] if rows or known else []

    def _current(self, dataset: Dataset) -> dict[str, Mapping[str, Any]]:
        shown = self._facts.public_entries(dataset.manifest.events)
        return current(
            (entry.type, entry.subject, entry.payload) for entry in sorted(shown, key=lambda entry: entry.seq)
        )

    def _write(
        self, dataset: Dataset, rows: Rows, withdrawn: int, now: datetime
    ) -> Iterable[tuple[Dataset, Rows, int]]:
        """Validate and write the files of a dataset whose rows changed."""
        folder, files = self._settings.folder, exports.files_of(dataset, self._settings.warehouse)
        known = self._exports.get(dataset.name)
        self_told = self._facts.changes(dataset.name) if known is None else known.changes
        data, report = exports.validated(dataset, rows, now)
        sha256 = exports.digest(data)
        table = folder / files[0].path
        if known is None or known.sha256 != sha256 or not table.exists():
            if not self_told or self_told[-1].sha256 != sha256:
                old = exports.read_rows(table)
                key = dataset.schema.get("primaryKey", dataset.dimensions if dataset.counted else ())
                if dataset.counted and "primaryKey" not in dataset.schema:
                    key = (dataset.period, *dataset.dimensions)
                change = DatasetChange(int(now.timestamp() * 1000), *changes(old, rows, key), sha256)
                self._facts.changed(dataset.name, change)
                self_told = [*self_told, change]
            exports.replace(folder / files[1].path, exports.as_json(dataset.schema))
            report["url"] = f"{self._root}/{files[0].path}"
            exports.replace(folder / files[2].path, exports.as_json(report))
            exports.replace(folder / files[3].path, exports.changes_csv(self_told))
            files = (*files, *self._feeds(dataset, now))
            exports.replace(table, data)
            self._exports[dataset.name] = Export(dataset, rows, sha256, files, self_told)
            self._told.written(dataset.name, len(rows), self_told[-1].at / 1000)
        self._told.sound(dataset.name, withdrawn)
        return ()

    def _feeds(self, dataset: Dataset, now: datetime) -> tuple[File, ...]:
        if dataset.name != ALERTS:
            return ()
        place, name = f"{self._settings.warehouse}/{dataset.manifest.theme}", dataset.manifest.file
        disruptions = self._current(dataset)
        feeds = (
            (File(f"{place}/gtfs-rt/{name}.pb", "gtfs-rt", "application/x-protobuf", "Alertes GTFS-Realtime"),
             gtfs_rt(disruptions, now)),
            (File(f"{place}/siri/{name}.xml", "siri", "application/xml", "Situations SIRI SX 2.1"),
             siri_sx(disruptions, now, self._settings.publisher)),
        )  # fmt: skip
        for file, data in feeds:
            exports.replace(self._settings.folder / file.path, data)
        return tuple(file for file, _ in feeds)

    def _catalogue_rows(self, dataset: Dataset) -> Rows:
        rows = []
        for export in self._exports.values():
            if export.dataset is dataset:
                continue
            manifest, first = export.dataset.manifest, export.changes[0].at
            began, ended = _moment(first).date().isoformat(), export.changed_at.date().isoformat()
            if export.dataset.counted and export.rows:
                periods = [row[export.dataset.period] for row in export.rows]
                began, ended = f"{min(periods)}-01-01"[:10], f"{max(periods)}-01-01"[:10]
            rows.append(
                {
                    "COLL_NOM": self._settings.publisher,
                    "COLL_SIRET": self._settings.siret,
                    "ID": export.dataset.name,
                    "TITRE": manifest.title,
                    "DESCRIPTION": manifest.description,
                    "THEME": manifest.theme,
                    "PRODUCTEUR_NOM": self._settings.publisher,
                    "PRODUCTEUR_SIRET": self._settings.siret,
                    "COUV_SPAT_MAILLE": "Communale",
                    "COUV_SPAT_NOM": self._settings.commune,
                    "COUV_TEMP_DEBUT": began,
                    "COUV_TEMP_FIN": ended,
                    "DATE_PUBL": _moment(first).date().isoformat(),
                    "FREQ_MAJ": manifest.frequency,
                    "DATE_MAJ": export.changed_at.date().isoformat(),
                    "MOTS_CLES": ", ".join(manifest.keywords),
                    "LICENCE": "Licence Ouverte-LO",
                    "NOMBRE_RESSOURCES": str(len(export.files)),
                    "FORMAT_RESSOURCES": ", ".join(sorted({file.format for file in export.files})),
                    "URL": f"{self._root}/{export.dataset.name}.html",
                }
            )
        return sorted(rows, key=lambda row: row["ID"])

    def _describe(self, now: datetime) -> None:
        """Write the catalogues and the pages: they name only what stands in the folder."""
        folder = self._settings.folder
        there = [export for _, export in sorted(self._exports.items())]
        exports.replace(
            folder / "datapackage.json", exports.as_json(exports.datapackage(there, self._settings.publisher, now))
        )
        exports.replace(
            folder / "catalog.jsonld", exports.as_json(exports.dcat(there, self._settings.publisher, self._root))
        )
        write_pages(folder, there, self._settings)

    @property
    def exports(self) -> Mapping[str, Export]:
        """What stands in the folder, by dataset."""
        return self._exports


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
