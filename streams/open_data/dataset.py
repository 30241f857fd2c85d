"""A dataset as a value: its manifest, its Table Schema, and what may stand in a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

THRESHOLD = 5
"""Least count that a cell may tell, unless a manifest or a city gives a reason for another."""

PERIODS = ("day", "month", "year")
COARSE = frozenset({*PERIODS, "type", "domain", "delay", "count"})
"""What a column may tell without being a field: a span of time, what kind of thing happened, how many."""

Frequency = Literal[
    "Ponctuelle",
    "Irrégulière",
    "Continuelle",
    "Quotidienne ou plusieurs fois par jour",
    "Mensuelle ou plusieurs fois par mois",
    "Annuelle",
]
"""As the national schema of catalogues says it."""


class BrokenDataset(Exception):
    """A dataset's folder does not hold together, or would tell what is not public; the text says what to do."""


class Manifest(BaseModel):
    """`dataset.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    title: str
    """In French, as residents read it."""
    description: str
    """In French: what a row is, and what is not in it."""
    theme: str = Field(pattern="^[A-Z][A-Za-z]+$")
    """Folder in the city's warehouse, `Education`."""
    file: str = Field(pattern="^[A-Z0-9]+(_[A-Z0-9]+)+$")
    """Name of its files without an ending, `EDUCATION_MENUS_VDG`."""
    keywords: tuple[str, ...] = Field(min_length=1)
    """In French."""
    frequency: Frequency
    """How often it changes."""
    standard: str = Field(default="", pattern="^([a-z]+/[a-z-]+@[0-9.]+)?$")
    """National schema that it follows, `scdl/prenoms@1.1.6`."""
    select: Literal["events", "counts", "supplied", "catalogue"]
    """Where rows come from: the last public event of each subject, counts, a file that the city supplies, or the
    datasets themselves."""
    events: tuple[str, ...] = ()
    """Full names of the events: of which rows are made, or which are counted."""
    fact: str = Field(default="", max_length=20)
    """What is counted; datasets that count the same share their totals, and are gated together."""
    complete_by: tuple[str, str] | None = None
    """Column of a supplied row and field of its event that name the same thing: what the row leaves empty is taken
    from there."""
    settle_days: int = Field(default=0, ge=0)
    """How many days after its end a period is told, once and for all; late facts of it are not told any more."""
    threshold: int = Field(default=THRESHOLD, ge=1)
    """Least count that a cell may tell."""
    threshold_reason: str = ""
    """Why it is not 5."""
    columns: Mapping[str, str]
    """Where each column comes from: a field with the full name of its event; `day`, `month` or `year` in which it
    happened; `type`, `domain`, `delay`; `count`; or `supplied`, where the city says itself what is public."""
    plot: bool = False
    """Whether its page draws the counts of the last periods."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.threshold != THRESHOLD and not self.threshold_reason:
            raise ValueError("threshold: differs from 5; say why in threshold_reason")
        if self.select == "counts" and not (self.fact and self.events):
            raise ValueError("select: counts needs fact and events; add them")
        if self.select == "events" and not self.events:
            raise ValueError("select: events needs events; name them")
        counted = [name for name, origin in self.columns.items() if origin == "count"]
        periods = [name for name, origin in self.columns.items() if origin in PERIODS]
        if len(counted) > 1 or bool(counted) != (len(periods) == 1) or (self.select == "counts" and not counted):
            raise ValueError("columns: what is counted needs one column of `count` and one period; correct them")
        return self


class Dataset(NamedTuple):
    """One dataset."""

    name: str
    manifest: Manifest
    schema: Mapping[str, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the schema."""
        return tuple(field["name"] for field in self.schema["fields"])

    @property
    def counted(self) -> str | None:
        """The column that holds a count, if one does."""
        return next((name for name, origin in self.manifest.columns.items() if origin == "count"), None)

    @property
    def period(self) -> str:
        """The column of the period, of what is counted."""
        return next(name for name, origin in self.manifest.columns.items() if origin in PERIODS)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Columns that tell cells of one period apart."""
        return tuple(name for name in self.columns if name not in (self.period, self.counted))

    @property
    def origins(self) -> tuple[str, ...]:
        """Where the dimensions come from, in their order."""
        return tuple(self.manifest.columns[name] for name in self.dimensions)


def load(name: str, manifest: Mapping[str, Any], schema: Mapping[str, Any]) -> Dataset:
    """Put a dataset together; raise `BrokenDataset` when schema and manifest do not name the same columns."""
    dataset = Dataset(name, Manifest.model_validate(manifest), schema)
    named = dataset.manifest.columns.keys()
    required = {field["name"] for field in schema["fields"] if field.get("constraints", {}).get("required")}
    if unknown := sorted(named - set(dataset.columns)):
        raise BrokenDataset(f"{name}: columns.{unknown[0]}: is not in schema.json; add it there or remove it")
    if missing := sorted(required - named):
        raise BrokenDataset(f"{name}: columns.{missing[0]}: is required by schema.json; say where it comes from")
    return dataset


def not_public(dataset: Dataset, privacy: Callable[[str, str], str | None]) -> list[str]:
    """Return what a dataset must not publish, one line each; `privacy` gives the class of (event, field)."""
    problems = []
    for column, origin in dataset.manifest.columns.items():
        where = f"{dataset.name}: columns.{column}"
        if origin in COARSE or (origin in ("supplied", "catalogue") and dataset.manifest.select == origin):
            continue
        event, _, field = origin.rpartition(".")
        found = privacy(event, field)
        if event not in dataset.manifest.events:
            problems.append(f"{where}: {origin} is no field of what is selected; name one of them")
        elif found is None:
            problems.append(f"{where}: there is no field {origin}; name one of docs/reference/events.md")
        elif found != "public":
            problems.append(f"{where}: {origin} is {found}, not public; leave the column out")
    return problems


def families(datasets: Iterable[Dataset]) -> list[list[Dataset]]:
    """Group what counts the same, finest last; raise `BrokenDataset` where two share a total and neither refines.

    Dimensions of one are the first dimensions of the next: only then it can be decided exactly what a difference
    between the two would tell.
    """
    grouped: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        if dataset.counted is not None:
            grouped.setdefault(dataset.manifest.fact or dataset.name, []).append(dataset)
    for members in grouped.values():
        members.sort(key=lambda dataset: (len(dataset.dimensions), dataset.name))
        for coarse, fine in pairwise(members):
            alike = (
                coarse.manifest.select == fine.manifest.select
                and coarse.manifest.events == fine.manifest.events
                and coarse.manifest.columns[coarse.period] == fine.manifest.columns[fine.period]
                and coarse.manifest.settle_days == fine.manifest.settle_days
            )
            if not alike or fine.origins[: len(coarse.origins)] != coarse.origins or fine.origins == coarse.origins:
                raise BrokenDataset(
                    f"{fine.name}: shares a total with {coarse.name} and does not refine it; "
                    "select the same, with the columns of the coarser first"
                )
    return [members for _, members in sorted(grouped.items())]


def finest(datasets: Sequence[Dataset]) -> Mapping[str, Dataset]:
    """Return, by event, the dataset for which it is counted as it happens."""
    found = {}
    for members in families(datasets):
        last = members[-1]
        # Whose dimensions are not its own fields is settled later, from several events.
        if last.manifest.select == "counts" and not {"type", "domain", "delay"} & set(last.origins):
            found.update(dict.fromkeys(last.manifest.events, last))
    return found
