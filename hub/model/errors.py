"""Errors, named by what happens next.

    Rejected                 the record goes to quarantine with its original bytes
     ├─ Undecodable          the bytes are not what the feed's content type says
     ├─ Invalid              decoded, but not the vendor's documented shape
     ├─ Unmappable           the vendor's shape, but it says nothing that we can express
     ├─ Unsupported          recognised, and not yet handled by this connector
     ├─ VendorError          the vendor answered with an error inside a successful answer
     ├─ Held                 a snapshot shrank by more than its manifest allows
     └─ Unroutable           no feed of the connector takes this record
    Transient                the shell waits and tries again, for as long as it takes; its cause is told
     └─ Denied               the other side refuses these credentials: what has others may go on first

Codes are API, texts are not.  A detail names fields, never values: it reaches logs, metrics
and headers, and a value may be personal.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where in the path a record was rejected."""

    ROUTE = "route"
    DECODE = "decode"
    VALIDATE = "validate"
    NORMALISE = "normalise"
    ENCODE = "encode"
    PARK = "park"


class Code(StrEnum):
    """Why a record was set aside; stable, documented, used as a metric label."""

    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    INVALID = "invalid"
    UNMAPPABLE = "unmappable"
    UNSUPPORTED = "unsupported"
    VENDOR_ERROR = "vendor_error"
    HELD = "held"
    UNROUTABLE = "unroutable"
    UNENCODABLE = "unencodable"
    BUG = "bug"
    BEHIND = "behind"

    @property
    def meaning(self) -> str:
        """What happened and what puts it right, in plain words."""
        return _MEANINGS[self]


_MEANINGS: dict[Code, str] = {
    Code.UNDECODABLE: "The bytes are not of the announced kind (JSON, XML). Ask the vendor, or correct the copy.",
    Code.TOO_LARGE: (
        "The record is larger than the hub accepts. If it did not fit Kafka, its bytes are in the blob folder under "
        "the digest that is told. Ask the vendor to split it."
    ),
    Code.INVALID: "A field is missing or has the wrong kind. Compare with the vendor's documentation.",
    Code.UNMAPPABLE: "The record is well formed but says something that has no meaning here.",
    Code.UNSUPPORTED: "The kind of record is known and not handled yet. It waits for a newer connector.",
    Code.VENDOR_ERROR: "The vendor answered with an error in a successful answer. Look at the vendor's side.",
    Code.HELD: "A snapshot is much smaller than the one before. Check the vendor before it is believed.",
    Code.UNROUTABLE: "No feed of this connector takes such a record. Check what writes to its raw topic.",
    Code.UNENCODABLE: "A mapped value does not fit the canonical schema. Correct the mapping.",
    Code.BUG: "The connector's own code failed. Correct the connector, then release.",
    Code.BEHIND: "The record waits behind an earlier one of the same subject that is in quarantine.",
}


class Rejected(Exception):
    """A record cannot become events; its bytes are kept in quarantine.

    `fields` are the paths of the fields at fault, `detail` a text without any value of the record.
    """

    code: Code
    stage: Stage

    def __init__(self, detail: str, *, fields: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields


class Undecodable(Rejected):
    """The bytes are not what the feed's content type says."""

    code = Code.UNDECODABLE
    stage = Stage.DECODE


class TooLarge(Rejected):
    """The record is larger than the hub decodes."""

    code = Code.TOO_LARGE
    stage = Stage.DECODE


class Invalid(Rejected):
    """The record decodes, but is not of the vendor's documented shape."""

    code = Code.INVALID
    stage = Stage.VALIDATE


class Unmappable(Rejected):
    """The record is of the vendor's shape, but cannot be expressed in canonical events."""

    code = Code.UNMAPPABLE
    stage = Stage.NORMALISE


class Unsupported(Rejected):
    """The kind of record is recognised and not handled yet; `detail` names the kind."""

    code = Code.UNSUPPORTED
    stage = Stage.NORMALISE


class VendorError(Rejected):
    """The vendor reported an error inside an answer that claims success."""

    code = Code.VENDOR_ERROR
    stage = Stage.VALIDATE


class Held(Rejected):
    """A snapshot shrank by more than its manifest allows."""

    code = Code.HELD
    stage = Stage.NORMALISE


class Unroutable(Rejected):
    """No feed of the connector takes the record."""

    code = Code.UNROUTABLE
    stage = Stage.ROUTE


class Unencodable(Rejected):
    """A mapped value does not fit the canonical schema."""

    code = Code.UNENCODABLE
    stage = Stage.ENCODE


class Cause(StrEnum):
    """Why an outside is away; stable, documented, used as a metric label."""

    UNREACHABLE = "unreachable"
    CERTIFICATE = "certificate"
    CREDENTIALS = "credentials"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    BUSY = "busy"
    FAILING = "failing"
    UNUSABLE = "unusable"
    UNWRITTEN = "unwritten"

    @property
    def meaning(self) -> str:
        """What happened, in plain words."""
        return _CAUSES[self][0]

    @property
    def remedy(self) -> str:
        """What puts it right; the next turn then goes on where the last good one ended."""
        return _CAUSES[self][1]


_CAUSES: dict[Cause, tuple[str, str]] = {
    Cause.UNREACHABLE: (
        "There is no connection, or it broke before an answer began.",
        "Check base_url, the network and the vendor's status.",
    ),
    Cause.CERTIFICATE: (
        "The other side's certificate is not trusted: it has run out, is another name's, or nobody known signed it.",
        "Ask the vendor whether it changed it; for an authority of its own, set SSL_CERT_FILE and restart intake.",
    ),
    Cause.CREDENTIALS: (
        "The other side refuses our credentials: they are wrong, withdrawn or have run out.",
        "Get new ones and write them into the secret's file; it is read at each turn.",
    ),
    Cause.TIMEOUT: ("No answer came in time.", "Look at the vendor's side."),
    Cause.TRUNCATED: ("An answer ended before its end.", "Nothing of it was taken. Look at the vendor's side."),
    Cause.BUSY: ("The vendor asks us to come later.", "Nothing to do; if it lasts, lower rate_per_second."),
    Cause.FAILING: ("The vendor reports an error of its own (5xx).", "Look at the vendor's side."),
    Cause.UNUSABLE: (
        "An answer came, and is not what was asked for: a page, another status, another shape.",
        "Compare base_url and settings with what the vendor answers; the reason says where.",
    ),
    Cause.UNWRITTEN: (
        "An answer came and could not be written: Kafka or the blob folder does not take it.",
        "Look at the brokers and the disk, not at the vendor: what came is asked for again.",
    ),
}


class Transient(Exception):
    """The outside is away for now; the shell waits and repeats.

    `retry_after` is the delay in seconds that the other side asked for, if it did.  Whoever knows no better cause
    than that an answer is of no use gives none.
    """

    cause = Cause.UNUSABLE

    def __init__(self, reason: str, *, cause: Cause | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        if cause is not None:
            self.cause = cause


class Denied(Transient):
    """The other side refuses the credentials of one request; another's may be good."""

    cause = Cause.CREDENTIALS
