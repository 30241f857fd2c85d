"""What alert rules and dashboards ask Prometheus for, to be held against what the hub exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_SELECTOR = re.compile(r"\b(hub_[a-z_]+|up)\b(?:\{([^}]*)\})?")
_LABEL = re.compile(r"\b([a-z_]+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_OF_PROMETHEUS = {"job", "instance", "role", "le"}
"""Labels that Prometheus itself adds, or that the list of targets carries."""


class Asked(NamedTuple):
    """One expression, taken apart."""

    where: str
    metrics: frozenset[str]
    labels: frozenset[str]


def rules(path: Path) -> Iterator[Asked]:
    """Yield every expression of an alert file; expressions may go over several lines."""
    text = path.read_text("utf-8")
    for block in re.split(r"\n\s*- alert: ", text)[1:]:
        name, _, rest = block.partition("\n")
        expression = re.split(r"\n\s*(?:for|labels|annotations):", rest, maxsplit=1)[0].partition("expr:")[2]
        yield _taken_apart(f"{path.name}: {name}", expression)


def panels(path: Path) -> Iterator[Asked]:
    """Yield every expression of a dashboard."""
    for panel in json.loads(path.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield _taken_apart(f"{path.name}: {panel['title']}", target["expr"])


def exposed(texts: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return every sample name with the labels that it was seen with."""
    found: dict[str, set[str]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            # A counter without samples yet is still there, under the name of its samples.
            names = {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
            for name in names:
                found.setdefault(name, set())
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return {name: frozenset(labels) for name, labels in found.items()}


def missing(asked: Iterable[Asked], known: Mapping[str, frozenset[str]]) -> list[str]:
    """Return what is asked for and not there, a line each."""
    problems = []
    for one in asked:
        labels: set[str] = set(_OF_PROMETHEUS)
        for metric in one.metrics - {"up"}:
            if metric not in known:
                problems.append(f"{one.where}: no metric {metric}")
            labels |= known.get(metric, frozenset())
        problems += [f"{one.where}: no label {label}" for label in sorted(one.labels - labels)]
    return problems


def _taken_apart(where: str, expression: str) -> Asked:
    metrics, labels = set(), set()
    for metric, selector in _SELECTOR.findall(expression):
        metrics.add(metric)
        labels.update(_LABEL.findall(selector))
    for group in _GROUPING.findall(expression):
        labels.update(part.strip() for part in group.split(",") if part.strip())
    return Asked(where, frozenset(metrics), frozenset(labels))
