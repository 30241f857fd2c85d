"""A record: the bytes that an outside system said, and where and when they were read."""

from __future__ import annotations

from typing import NamedTuple


class Header:
    """Names of the Kafka headers that the hub reads and writes."""

    FEED = "hub_feed"
    """Name of the connector's feed that takes the record."""
    RAW_ID = "hub_raw_id"
    """Identity of the raw record, stamped once by intake: survives a repeated produce."""
    READ_AT = "hub_read_at"
    """When the request that brought the record was started, UTC milliseconds."""
    ANSWER = "hub_answer"
    """The vendor's own request id of the answer (`x-request-id`), where it sends one."""
    BLOB = "hub_blob"
    """Where the bytes are that were too large for Kafka, and their number: `sha256:<digest> <bytes>`; the record's
    value is the same text.  An operator's corrected copy has another value, and is a record like any other."""
    CONTROL = "hub_control"
    """Marks a record of a raw topic as an operator's command and says which (`hub.model.command`); never a vendor's."""
    CONTENT_TYPE = "content-type"
    SEQ = "hub_seq"
    """Raw epoch, raw offset and index in the record, joined by `:`: the promised order."""
    REV = "hub_rev"
    """Revision of the mapping that made the event."""
    PRODUCT = "hub_product"
    CITIZEN = "hub_citizen"
    ROLE = "hub_role"
    PARTITION = "hub_partition"
    """Partition of the raw topic from which an event came."""
    REPLAY = "hub_replay"
    """Marks an event that is told late, by a release or a replay: nobody is notified."""
    CODE = "hub_code"
    STAGE = "hub_stage"
    FIELDS = "hub_fields"
    DETAIL = "hub_detail"
    ORIGIN = "hub_origin"
    OWNER = "hub_owner"
    """Which assignment of a partition wrote a record: what an owner writes after the next one has begun is void."""


Headers = tuple[tuple[str, bytes], ...]


class Origin(NamedTuple):
    """Where a raw record stands: its address for ever."""

    topic: str
    epoch: int
    partition: int
    offset: int


class Seq(NamedTuple):
    """The order that is promised per (citizen, subject)."""

    epoch: int
    offset: int
    item: int
    """Index of the event among those that the record gave."""

    def __str__(self) -> str:
        return f"{self.epoch}:{self.offset}:{self.item}"

    @classmethod
    def parse(cls, text: str) -> Seq:
        """Read what `str` wrote; ValueError for anything else."""
        epoch, offset, item = text.split(":")
        return cls(int(epoch), int(offset), int(item))


class Record(NamedTuple):
    """What came over a raw topic.

    `value` is None only for a tombstone, which no source sends: it is rejected.
    """

    product: str
    feed: str
    key: bytes
    value: bytes | None
    raw_id: str
    read_at: int
    """UTC milliseconds; the start of the request, so that an old poll can be told from news."""
    origin: Origin
    content_type: str = ""
    headers: Headers = ()
