"""An alert as it is remembered and told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sources.transport.gtfs_rt import model
from hub.pipeline.disruption import DESCRIPTION, TITLE, cut

State = Mapping[str, Any]


def told_of(alert: model.Alert) -> dict[str, Any]:
    """Return an alert as plain values."""
    starts = [period.start for period in alert.active_period]
    ends = [period.end for period in alert.active_period]
    return {
        "kind": (alert.effect or alert.cause).lower(),
        "lines": sorted({route for selector in alert.informed_entity if (route := selector.route())}),
        "starts_at": None if None in starts or not starts else min(filter(None, starts)) * 1000,
        "ends_at": None if None in ends or not ends else max(filter(None, ends)) * 1000,
        "title": cut(alert.header_text.french(), TITLE),
        "description": cut(alert.description_text.french(), DESCRIPTION),
        "url": alert.url.address(),
    }


def said_of(entry: State) -> State:
    """Return what is told of an alert: its id may not last."""
    return {name: value for name, value in entry.items() if name != "id"}
