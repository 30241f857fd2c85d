"""A connector as a value: its manifest and its three or four pure functions.

A connector is one folder, `connectors/sources/<domain>/<product>/`:

    connector.toml   the manifest
    model.py         vendor models, pydantic, strict; lenient only where the format says so
    mapping.py       one function per feed, named after it; large ones have pieces beside it, by kind of payload
    source.py        `poll(cursor, settings)` and/or `receive(call)`, without I/O
    simulator.py     the vendor, for the demo and the tests
    samples/<feed>/  what the vendor sends, one file each; golden/ what is decided of them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from hub.model.event import Fact
from hub.model.intake import Call, Cursor, Emit, Intake, Refusal


class OnReject(StrEnum):
    """What becomes of the later records of a key whose record was rejected."""

    PARK = "park"
    """They wait behind it: order matters more than freshness."""
    SKIP = "skip"
    """They go on: each record says everything, the next supersedes."""


class Stability(StrEnum):
    """How far the connector can be trusted not to change."""

    EXPERIMENTAL = "experimental"
    BETA = "beta"
    STABLE = "stable"


class FeedManifest(BaseModel):
    """One kind of record that the product sends."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    summary: str
    """What a record of this feed is, in plain words."""
    style: str = Field(pattern="^(poll|webhook|snapshot|file)$")
    """How it arrives: asked for, by a call, all of it each time, or as rows of a file."""
    content_type: str
    """How the bytes are decoded: `application/json`, `application/xml`, `application/x-protobuf` (GTFS-Realtime),
    `text/csv`, `text/plain` or `text/plain; charset=ibm850`."""
    model: str
    """Class in `model.py` that validates a decoded record."""
    key: str
    """What the raw key is, in plain words."""
    memory: bool = False
    """Whether the mapping needs what the key's last record said."""
    on_reject: OnReject = OnReject.PARK
    """What becomes of later records of the key after a rejected one."""
    max_shrink: float = Field(default=1.0, gt=0, le=1)
    """Largest believable loss of items between two snapshots, as a share of the former."""
    identity: tuple[str, ...] = ()
    """The vendor's fields that identify a fact; empty: the raw id does."""
    emits: tuple[str, ...]
    """Record names of the canonical events, `MealBooked`."""


class Manifest(BaseModel):
    """`connector.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    summary: str
    """One sentence for the list of connectors."""
    vendor: str
    """Who makes the outside system."""
    owner: str
    """Who in the city answers for the source."""
    stability: Stability
    revision: int = Field(ge=1)
    """Raised with each change of the mapping's meaning; a replay with a higher one replaces rows."""
    timezone: str = "Europe/Paris"
    """Zone of the vendor's naive times."""
    rate_per_second: float = Field(default=5.0, gt=0)
    """Most requests per second that the vendor is sent."""
    poll_seconds: float = Field(default=60.0, gt=0)
    """Pause between two polls, unless the settings say otherwise."""
    settings: Mapping[str, str] = Field(default_factory=dict)
    """Settings that the source needs beside `base_url`, each with its meaning; `optional: ` if it may be left out."""
    credentials: Mapping[str, str] = Field(default_factory=dict)
    """Credentials of the source by name, each with its kind: `oauth2`, `basic`, `bearer`, `signed_query` or `hmac`."""
    documentation: str = ""
    """Where the format is described, or why it is ours."""
    feeds: Mapping[str, FeedManifest]


class Context(NamedTuple):
    """What a mapping may know beside the record itself."""

    read_at: datetime
    """Start of the request that brought the record, aware UTC."""
    zone: ZoneInfo
    """The vendor's zone."""
    key: str
    """The raw key, decoded."""
    max_shrink: float = 1.0
    """The manifest's largest believable loss of items between two snapshots, as a share of the former."""


Mapped = Iterable[Fact] | str
"""Facts, or the reason why there is nothing to say (a `Skip`)."""

MapStateless = Callable[[Any, Context], Mapped]
"""`(validated model, context) -> facts`."""
MapWithMemory = Callable[[Mapping[str, Any] | None, Any, Context], tuple[Mapping[str, Any], Mapped]]
"""`(previous state, validated model, context) -> (new state, facts)`; states are JSON objects."""


@dataclass(frozen=True)
class Feed:
    """A feed with its code."""

    name: str
    manifest: FeedManifest
    model: type[BaseModel]
    map: MapStateless | MapWithMemory


@dataclass(frozen=True)
class Connector:
    """One outside product."""

    product: str
    domain: str
    manifest: Manifest
    feeds: Mapping[str, Feed]
    poll: Callable[[Cursor, Mapping[str, str]], Intake] | None = None
    receive: Callable[[Call], Emit | Refusal] | None = None
    dress: Callable[[str, bytes], bytes] | None = None
    """`(file name, bytes) -> record`: makes a record of a bare payload, for trying one out."""

    @cached_property
    def zone(self) -> ZoneInfo:
        """The vendor's time zone."""
        return ZoneInfo(self.manifest.timezone)
