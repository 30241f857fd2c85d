"""The flow and its counts, read from the roles' own metrics."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from streams.account import CITY


class Paused(NamedTuple):
    """Why a product's records wait."""

    since: float
    """UTC seconds."""
    who: str
    why: str


class Flow:
    """Scrapes the roles that the discovery list names."""

    def __init__(self, discovery: Path) -> None:
        """Read the list anew at each look."""
        self._discovery = discovery

    def read(self) -> dict[str, Any]:
        """Return roles with their state, products with what was decided, lag and quarantine."""
        roles: dict[str, str] = {}
        products: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        rejected: dict[tuple[str, str], float] = defaultdict(float)
        drift: dict[tuple[str, str, str], float] = defaultdict(float)
        waiting: dict[str, float] = {}
        paused: dict[str, Paused] = {}
        lag = 0.0
        for target, role in self._targets():
            text = _get(f"http://{target}/metrics")
            roles[role] = "works" if text else "does not answer"
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    labels = sample.labels
                    match sample.name:
                        case "hub_up" if not sample.value:
                            roles[role] = "starts or waits"
                        case "hub_records_decided_total" if role == "normalise":
                            products[labels["product"]][labels["kind"]] += sample.value
                            if labels["kind"] == "quarantine" and sample.value:
                                rejected[labels["product"], labels["code"]] += sample.value
                        case "hub_raw_written_total":
                            products[labels["product"]]["raw"] += sample.value
                        case "hub_parked_subjects":
                            products[labels["product"]]["parked"] += sample.value
                        case "hub_vendor_drift_total":
                            drift[f"{labels['product']}.{labels['feed']}", labels["path"], labels["change"]] += (
                                sample.value
                            )
                        case "hub_product_paused_timestamp_seconds":
                            said = Paused(sample.value, labels["who"], labels["why"])
                            # Every worker says it, and one may still say the pause before.
                            paused[labels["product"]] = max(said, paused.get(labels["product"], said))
                        case "hub_lag_records":
                            lag += sample.value
                        case "hub_waiting_seconds" if sample.value:
                            waiting[f"{role}: {labels['what']}"] = sample.value
        return {
            "roles": roles,
            "products": {name: dict(values) for name, values in sorted(products.items())},
            "rejected": sorted(rejected.items()),
            "drift": sorted(drift.items()),
            "paused": dict(sorted(paused.items())),
            "waiting": waiting,
            "lag": lag,
        }

    def _targets(self) -> list[tuple[str, str]]:
        try:
            listed = json.loads(self._discovery.read_text("utf-8"))
            return [(entry["targets"][0], entry["labels"]["role"]) for entry in listed]
        except (OSError, ValueError, KeyError, IndexError):
            return []


class Pauses:
    """The products that are paused, as the roles last said; whoever asks never waits for them."""

    def __init__(self, flow: Flow, seconds: float = 30.0) -> None:
        """Look again after so many seconds, beside the one who asks."""
        self._flow = flow
        self._seconds = seconds
        self._looked = -seconds
        self._known: frozenset[str] = frozenset()
        self._looking = threading.Lock()

    def __call__(self) -> frozenset[str]:
        """Return what is known."""
        if time.monotonic() - self._looked >= self._seconds and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, name="pauses", daemon=True).start()
        return self._known

    def _look(self) -> None:
        try:
            self._known = frozenset(self._flow.read()["paused"])
        finally:
            self._looked = time.monotonic()
            self._looking.release()


def since(at: float, now: datetime) -> str:
    """Say a moment (UTC seconds) as the city's clock showed it, and how long ago that is."""
    minutes = int(now.timestamp() - at) // 60
    ago = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
    return f"since {datetime.fromtimestamp(at, CITY):%Y-%m-%d %H:%M} ({ago})"


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return ""
