"""The registry and the logger of one process, handed in wherever something happens."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hub.model.errors import Cause, Code

KEYS: Final = frozenset(
    {
        "event", "level", "timestamp", "role", "product", "topic", "partition", "offset", "code", "stage", "origin",
        "fields", "count", "seconds", "reason", "failures", "error", "where", "logger", "state", "channel", "dataset",
        "rows", "records", "kind", "status", "port", "address", "pid", "slot", "group", "remedy", "feed", "instance",
        "exit_code", "epoch", "dropped_keys", "name", "at",
        "command", "who", "why", "released", "dropped", "superseded", "edited", "events", "waits",
    }
)  # fmt: skip
"""The only keys that a log line may have: a new one is a decision about privacy."""

CHANNELS = ("mail", "sms", "app", "hubee", "identity")
STATES = ("pending", "waiting", "sent", "refused", "expired", "unwanted", "folded", "unsure")
"""Of a row of the outbox."""
VENDOR_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 86400)
ACCOUNT_BUCKETS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 60)


class Telemetry:
    """Metrics in a registry of their own, and a logger that lets only known keys through."""

    def __init__(
        self, role: str, products: Iterable[str] = (), *, stream: TextIO | None = None, level: str = "info"
    ) -> None:
        """`products`: their labels are initialised, so that no rate starts from nothing."""
        self.role = role
        self.registry = CollectorRegistry()
        self.log = _logger(role, stream if stream is not None else sys.stderr, level)
        self._metrics()
        for product in products:
            self._initialise(product)

    def _metrics(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"hub_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"hub_{name}", text, labels, registry=self.registry)

        self.up = gauge("up", "1 while the role works.", "role")
        self.received = counter("records_received", "Records read from Kafka.", "topic")
        self.decided = counter("records_decided", "Decisions, by kind and code or reason.", "product", "kind", "code")
        self.produced = counter("records_produced", "Records that the broker acknowledged.", "kind")
        self.committed = gauge("offset_committed", "Offset up to which a partition is done.", "topic", "partition")
        self.lag = gauge("lag_records", "Records that wait in a partition.", "topic", "partition")
        self.lag_seconds = gauge("lag_seconds", "Age of the last record done while others wait.", "topic", "partition")
        self.polled = gauge("source_last_good_poll_timestamp_seconds", "When a source was last read well.", "product")
        self.polls = counter("source_polls", "Polls, by result and cause.", "product", "result", "code")
        self.raw = counter("raw_written", "Raw records that the broker acknowledged.", "product", "feed")
        self.hooks = counter("webhook_calls", "Incoming calls, by result.", "product", "result")
        self.sign_ins = counter("sign_ins", "Sign-ins by an identity provider, by result.", "provider", "result")
        self.parked = gauge("parked_subjects", "Subjects that wait behind a rejected record.", "product", "partition")
        self.parked_oldest = gauge(
            "parked_oldest_timestamp_seconds",
            "When the oldest parked record was read; 0: none.",
            "product",
            "partition",
        )
        self.drift = counter(
            "vendor_drift",
            "Looks at a record (one a second) that found a field new, gone, or of another kind than in the samples.",
            *("product", "feed", "path", "change"),
        )
        self.drifted: set[tuple[str, ...]] = set()
        """Changes of format that were said once."""
        self.paused = gauge("product_paused", "1 while a product's records are not processed.", "product")
        self.paused_at = gauge(
            "product_paused_timestamp_seconds",
            "Since when a product is paused, by whom and why; absent while it is not.",
            *("product", "who", "why"),
        )
        self.settled = counter("quarantine_settled", "Quarantined records that a command settled.", "product", "how")
        self.outbox = gauge("outbox_rows", "Rows of the outbox, by channel and state.", "channel", "state")
        self.delivered = counter("outbox_delivered", "Tries to deliver, by channel and result.", "channel", "result")
        self.too_late = gauge(
            "notices_too_late",
            "Notices that will miss their cut-off, or be of no use when they go out, as it looks now.",
            "channel",
            "topic",
        )
        self.decided_again = counter("notices_decided", "Waiting notices that were decided again, by state.", "state")
        self.entries = counter("entries_written", "Events written to SQL, by what it changed.", "result")
        self.commands = counter("link_commands", "Commands on links that were run.", "kind")
        self.waiting = gauge(
            "waiting_seconds", "How long the role has waited for something outside; 0: it does not.", "what"
        )
        self.exported = gauge("dataset_rows", "Rows of a dataset as last published.", "dataset")
        self.dataset_refused = gauge("dataset_refused", "1 while a dataset cannot be published.", "dataset")
        self.withdrawn = gauge(
            "dataset_withdrawn_cells", "Cells told once and withheld now: something was taken back.", "dataset"
        )
        self.exported_at = gauge("dataset_published_timestamp_seconds", "When a dataset last changed.", "dataset")
        self.failures = counter("failures", "Defects of the hub's own code.", "where")
        self.vendor_to_read = Histogram(
            "hub_vendor_to_read_seconds",
            "From the vendor's moment to its reading.",
            ["product"],
            buckets=VENDOR_BUCKETS,
            registry=self.registry,
        )
        self.read_to_account = Histogram(
            "hub_read_to_account_seconds",
            "From the reading to the account.",
            ["product"],
            buckets=ACCOUNT_BUCKETS,
            registry=self.registry,
        )
        self.up.labels(self.role).set(0)
        self.failures.labels(self.role)
        for what in ("kafka", "database"):
            self.waiting.labels(what)
        for result in ("inserted", "replaced", "ignored"):
            self.entries.labels(result)
        for channel in CHANNELS:
            for result in ("sent", "later", "refused", "expired", "unsure"):
                self.delivered.labels(channel, result)

    @staticmethod
    def forget(gauge: Gauge, *labels: str) -> None:
        """Remove a series, if there is one."""
        with suppress(KeyError):
            gauge.remove(*labels)

    def _initialise(self, product: str) -> None:
        self.decided.labels(product, "deliver", "")
        for code in Code:
            self.decided.labels(product, "quarantine", str(code))
        self.paused.labels(product)
        for how in ("released", "dropped", "superseded"):
            self.settled.labels(product, how)
        for result in ("good", "broken"):
            self.polls.labels(product, result, "")
        for cause in Cause:
            self.polls.labels(product, "away", str(cause))
        for result in ("accepted", "refused", "unsigned", "away", "broken"):
            self.hooks.labels(product, result)
        self.vendor_to_read.labels(product)
        self.read_to_account.labels(product)


def _logger(role: str, stream: TextIO, level: str) -> Any:
    number = logging.getLevelName(level.upper())
    renderer: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_values,
        _only_known_keys,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=renderer,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    ).bind(role=role)
    root = logging.getLogger()
    root.handlers[:] = [_Relay(logger)]
    root.setLevel(logging.WARNING)
    return logger


def _without_values(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Tell an exception by its kind and place: its text may quote a record."""
    error = line.pop("exception", None)
    if isinstance(error, BaseException):
        line.update(describe(error))
    return line


def describe(error: BaseException) -> dict[str, str]:
    """Say of an exception what can hold no personal value: its kind, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = ""
    if frames:
        last = frames[-1]
        where = f"{'/'.join(last.filename.rsplit('/', 3)[-3:])}:{last.lineno}"
    return {"error": type(error).__name__, "where": where}


def _only_known_keys(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
    unknown = line.keys() - KEYS
    if unknown:
        line["dropped_keys"] = len(unknown)
        for key in unknown:
            del line[key]
    return line


class _Relay(logging.Handler):
    """Pass on what libraries say, without the values that they put into it."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Tell logger, level and template: the arguments may hold keys or values of records."""
        template = record.msg if isinstance(record.msg, str) and record.args else _shape(record)
        error = record.exc_info[1] if record.exc_info else None
        self._log.log(record.levelno, "library message", logger=record.name, reason=template[:200], exception=error)


def _shape(record: logging.LogRecord) -> str:
    """Name a message without arguments by the place that wrote it: it may have been formatted before."""
    return f"{record.module}:{record.lineno}"
