"""Public pages of the datasets: static, in French, without a script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.config import OpenData
from hub.delivery.exports import LICENCE, Export, replace
from hub.locale import day_words
from streams.open_data.counting import CITY

THEMES = {"Citoyennete": "Citoyenneté", "Education": "Éducation", "EspacePublic": "Espace public"}
"""Folders of the warehouse, as residents read them where they differ."""
PREVIEW = 8
BARS = 24
WIDTH, HEIGHT, FOOT = 640, 180, 24

_TEMPLATES = Environment(
    loader=PackageLoader("hub.delivery", "templates/donnees"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Bar(NamedTuple):
    """One bar of a plot, in the units of its view box."""

    x: float
    y: float
    width: float
    height: float
    period: str
    value: int


def bars(export: Export) -> list[Bar]:
    """Draw the sums of what is published of the last periods: nothing that the file does not say."""
    dataset = export.dataset
    if not dataset.manifest.plot or dataset.counted is None:
        return []
    sums: Counter[str] = Counter()
    for row in export.rows:
        sums[row[dataset.period]] += int(row[dataset.counted])
    last = sorted(sums.items())[-BARS:]
    if not last:
        return []
    step, most = WIDTH / len(last), max(sums[period] for period, _ in last)
    room = HEIGHT - FOOT
    return [
        Bar(
            round(index * step + step * 0.1, 1),
            round(room - room * count / most, 1),
            round(step * 0.8, 1),
            round(room * count / most, 1),
            period,
            count,
        )
        for index, (period, count) in enumerate(last)
    ]


def write_pages(folder: Path, exports: Sequence[Export], settings: OpenData) -> None:
    """Write `index.html` and a page for each dataset."""
    values: dict[str, Any] = {
        "publisher": settings.publisher,
        "licence": LICENCE,
        "moment": _moment,
        "theme_words": lambda theme: THEMES.get(theme, theme),
        "number": lambda count: f"{count:,}".replace(",", "\u202f"),
        "size": lambda path: _size((folder / path).stat().st_size),
    }
    index = _TEMPLATES.get_template("index.html").render(exports=exports, **values)
    for export in exports:
        page = _TEMPLATES.get_template("jeu.html").render(
            export=export,
            dataset=export.dataset,
            fields=export.dataset.schema["fields"],
            shown=export.rows[:PREVIEW],
            bars=bars(export),
            width=WIDTH,
            height=HEIGHT,
            **values,
        )
        replace(folder / f"{export.dataset.name}.html", page.encode())
    replace(folder / "index.html", index.encode())


def _moment(moment: datetime) -> str:
    local = moment.astimezone(CITY)
    return f"{day_words(local.date())} {local.year} à {local:%H h %M}"


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} octets"
    return f"{count / 1000:.0f} ko" if count < 1_000_000 else f"{count / 1_000_000:.1f} Mo".replace(".", ",")
