"""What a hub writes into its configuration to live beside a town in a box."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

POLL_SECONDS = 1.0


def settings(
    folder: Path,
    *,
    bootstrap: str,
    replication: int,
    size: str,
    store: Mapping[str, str],
    web_port: int,
    smtp_port: int,
    vendors: Mapping[str, Any],
    sign_in: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return settings whose files lie in `folder`.

    `vendors` is what the town says under `/town/settings`, `sign_in` what it says under `/town/sign_in`.
    """
    data = folder / "data"
    return {
        "data_dir": str(data),
        "kafka": {"bootstrap": bootstrap, "size": size, "replication": replication},
        "store": dict(store),
        "web": {
            "port": web_port,
            "public_url": f"http://127.0.0.1:{web_port}",
            "tokens_file": str(data / "tokens.toml"),
        },
        # The town is played at any hour: no message about a meal becomes of no use while it is.
        "canteen": {"cut_off_days": 2, "cut_off_time": "23:59"},
        "sign_in": {name: dict(way) for name, way in sign_in.items()},
        "telemetry": {"discovery_file": str(folder / "run" / "prometheus.json")},
        "mail": {"host": "127.0.0.1", "port": smtp_port},
        # The town lives a day in a minute, at any hour: what is owed is owed at once.
        "notifications": {
            "quiet_from": "00:00",
            "quiet_until": "00:00",
            "cap": 0,
            "working_days": False,
            "stop_bounced": False,
        },
        "blobs": {"folder": str(data / "blobs")},
        "open_data": {"folder": str(data / "opendata"), "seconds": 5.0},
        "connectors": {
            name: {"rate_per_second": 100.0, **vendor, "poll_seconds": POLL_SECONDS} for name, vendor in vendors.items()
        },
    }


def toml(document: Mapping[str, Any], table: str = "") -> str:
    """Write plain tables, texts and numbers; JSON's strings are TOML's."""
    lines: list[str] = []
    below: list[str] = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            name = f"{table}.{json.dumps(key)}" if table else json.dumps(key)
            below.append(f"\n[{name}]\n{toml(value, name)}")
        else:
            lines.append(f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines + below)
