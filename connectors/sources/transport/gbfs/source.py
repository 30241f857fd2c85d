"""Reads the two files about stations, where the discovery file says they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hub.model.errors import Transient
from hub.model.intake import Answer, Checkpoint, Cursor, Emit, Get, Intake

KEY = "gbfs:stations"
FILES = {"status": "station_status", "information": "station_information"}
"""Feed to the name of its file.  The status first: a new station is then told of with what it has."""
PATIENCE = 600
"""Seconds after which information is asked for again, whatever its `ttl` says."""

_ADDRESS = re.compile(r"(https?://[0-9A-Za-z.-]+(?::[0-9]{1,5})?)(?:/[\x21-\x7e]*)?")


def poll(cursor: Cursor, settings: Mapping[str, str]) -> Intake:
    """Ask where the files are, then for each; one that is missing does not keep the other from being read."""
    listing: Answer = yield Get(settings["discovery"])
    addresses = _addresses(listing)
    allowed = {_origin(settings["discovery"]), *(one.strip() for one in settings.get("origins", "").split(","))} - {""}
    asked: Mapping[str, Any] = cursor.get("information", {})
    troubles: list[str] = []
    for feed, name in FILES.items():
        address = addresses.get(name)
        if address is None:
            troubles.append(f"{name}: not in the discovery file")
            continue
        if _origin(address) not in allowed:
            troubles.append(f"{name}: at an origin that the settings do not name")
            continue
        if feed == "information" and asked.get("address") == address and _fresh(asked, listing.started_at):
            continue
        answer: Answer = yield Get(address)
        if not answer.ok:
            troubles.append(f"{name}: status {answer.status}")
            continue
        yield Emit(
            feed=feed,
            key=KEY,
            value=answer.body,
            read_at=answer.started_at,
            content_type="application/json",
            answer=answer.id,
        )
        if feed == "information" and (ttl := _ttl(answer)):
            until = answer.started_at + 1000 * ttl
            yield Checkpoint({"information": {"address": address, "asked": answer.started_at, "until": until}})
    if troubles:
        raise Transient("; ".join(troubles))


def _addresses(listing: Answer) -> dict[str, str]:
    """Read the discovery file of either version: in version 2 the French list, else the first."""
    if not listing.ok:
        raise Transient(f"discovery: status {listing.status}")
    try:
        document = listing.json()
    except ValueError:
        raise Transient("discovery: not JSON") from None
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(version, str) or not version.startswith(("2.", "3.")):
        raise Transient("discovery: a version other than 2 and 3")
    data = document.get("data")
    if version.startswith("2.") and isinstance(data, dict):
        data = data[min(data, key=lambda language: not language.lower().startswith("fr"))] if data else None
    feeds = data.get("feeds") if isinstance(data, dict) else None
    if not isinstance(feeds, list):
        raise Transient("discovery: no list of feeds")
    return {
        one["name"]: one["url"]
        for one in feeds
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("url"), str)
    }


def _origin(address: str) -> str:
    """Take scheme, host and port, empty if it is no address of the web: a listing could name a file of ours."""
    found = _ADDRESS.fullmatch(address)
    return found[1] if found else ""


def _fresh(asked: Mapping[str, Any], now: int) -> bool:
    # A clock that was put back must not make it fresh for ever.
    return bool(asked["asked"] <= now < asked["until"])


def _ttl(answer: Answer) -> int:
    try:
        document = answer.json()
    except ValueError:
        return 0
    ttl = document.get("ttl") if isinstance(document, dict) else None
    return min(max(ttl, 0), PATIENCE) if isinstance(ttl, int) else 0
