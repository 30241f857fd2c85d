"""Each thing that can happen, with its effects; `grep class` is the list."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.model.decision import Decision, Deliver, Quarantine
from hub.model.errors import Cause, Code
from hub.pipeline.drift import Change
from hub.pipeline.parking import Report
from hub.telemetry.telemetry import CHANNELS, STATES, Telemetry, describe


@dataclass(frozen=True, slots=True)
class RoleStarted:
    """A role is ready to work."""

    slot: str

    def emit(self, to: Telemetry) -> None:
        """Raise the gauge and say so."""
        to.up.labels(to.role).set(1)
        to.log.info("role started", slot=self.slot)


@dataclass(frozen=True, slots=True)
class RoleStopped:
    """A role ended in order."""

    def emit(self, to: Telemetry) -> None:
        """Lower the gauge and say so."""
        to.up.labels(to.role).set(0)
        to.log.info("role stopped")


@dataclass(frozen=True, slots=True)
class Failed:
    """The hub's own code failed: the role stops without a commit, or goes on without the turn."""

    where: str
    error: BaseException

    def emit(self, to: Telemetry) -> None:
        """Count it and say which kind, where."""
        to.failures.labels(self.where).inc()
        to.log.error("failure", kind=self.where, **describe(self.error))


@dataclass(frozen=True, slots=True)
class RecordsReceived:
    """A list of records was fetched."""

    topic: str
    count: int

    def emit(self, to: Telemetry) -> None:
        """Count them."""
        to.received.labels(self.topic).inc(self.count)


@dataclass(frozen=True, slots=True)
class PartitionDone:
    """A partition is done up to an offset."""

    topic: str
    partition: int
    offset: int
    lag: int
    seconds: float

    def emit(self, to: Telemetry) -> None:
        """Set the gauges."""
        number = str(self.partition)
        to.committed.labels(self.topic, number).set(self.offset)
        to.lag.labels(self.topic, number).set(self.lag)
        to.lag_seconds.labels(self.topic, number).set(self.seconds)


@dataclass(frozen=True, slots=True)
class PartitionReleased:
    """A partition is another process's: what was last known of it here is not true for long."""

    topic: str
    partition: int

    def emit(self, to: Telemetry) -> None:
        """Remove its gauges; what is parked in it as well."""
        number = str(self.partition)
        for gauge in (to.committed, to.lag, to.lag_seconds):
            to.forget(gauge, self.topic, number)
        if self.topic.startswith("raw."):
            for gauge in (to.parked, to.parked_oldest):
                to.forget(gauge, self.topic.removeprefix("raw."), number)


@dataclass(frozen=True, slots=True)
class RecordsDecided:
    """A batch was decided, and all that follows is acknowledged."""

    product: str
    decisions: Sequence[Decision]

    def emit(self, to: Telemetry) -> None:
        """Count by kind and code; say each quarantine."""
        counts: Counter[tuple[str, str]] = Counter()
        delay = to.vendor_to_read.labels(self.product)
        for decision in self.decisions:
            if isinstance(decision, Deliver):
                counts["deliver", ""] += 1
                event = decision.event
                delay.observe(max(event.read_at / 1000 - event.time.timestamp(), 0.0))
            elif isinstance(decision, Quarantine):
                counts["quarantine", str(decision.code)] += 1
                origin = decision.record.origin
                # What only waits behind another is no news.
                say = to.log.debug if decision.code is Code.BEHIND else to.log.warning
                say(
                    "record quarantined",
                    product=self.product,
                    feed=decision.record.feed[:40],
                    code=str(decision.code),
                    stage=str(decision.stage),
                    reason=decision.detail,
                    fields=list(decision.fields),
                    origin=f"{origin.topic}/{origin.epoch}/{origin.partition}/{origin.offset}",
                )
            else:
                counts["skip", decision.reason] += 1
        for (kind, code), count in counts.items():
            to.decided.labels(self.product, kind, code).inc(count)
        if counts["deliver", ""]:
            to.produced.labels("event").inc(counts["deliver", ""])


@dataclass(frozen=True, slots=True)
class CommandObeyed:
    """An operator's command was carried out: the audit line."""

    product: str
    report: Report

    def emit(self, to: Telemetry) -> None:
        """Count what it settled; say who gave it, why, and what became of it."""
        report = self.report
        command = report.command
        for how, count in (
            ("released", report.released), ("dropped", report.dropped), ("superseded", report.superseded),
        ):  # fmt: skip
            if count:
                to.settled.labels(self.product, how).inc(count)
        to.log.info(
            "command obeyed",
            product=self.product,
            kind=str(command.kind),
            command=command.id,
            who=command.who,
            why=command.why,
            partition=command.origin.partition,
            offset=command.origin.offset,
            released=report.released,
            dropped=report.dropped,
            superseded=report.superseded,
            edited=report.edited,
            events=report.events,
            code=",".join(sorted(set(report.rejected.values()))),
            waits=report.waiting,
        )


@dataclass(frozen=True, slots=True)
class ProductSwitched:
    """A product was paused, by the breaker or by somebody, or goes on."""

    product: str
    paused: bool
    who: str
    why: str
    at: int
    """UTC milliseconds."""

    def emit(self, to: Telemetry) -> None:
        """Set the gauges; say who and why."""
        to.paused.labels(self.product).set(int(self.paused))
        # The labels say one pause: what an earlier one left would stand beside it for good.
        to.paused_at.remove_by_labels({"product": self.product})
        if self.paused:
            to.paused_at.labels(self.product, self.who, self.why).set(self.at / 1000)
            to.log.error("product paused", product=self.product, who=self.who, why=self.why,
                         remedy=f"hub quarantine try {self.product}; hub resume {self.product}")  # fmt: skip
        else:
            to.log.info("product resumed", product=self.product, who=self.who, why=self.why)


@dataclass(frozen=True, slots=True)
class RecordsVoid:
    """A worker wrote to a partition after another had taken it over; nothing of it counts."""

    topic: str
    partition: int
    count: int

    def emit(self, to: Telemetry) -> None:
        """Say so."""
        to.log.warning(
            "records of a former owner ignored", topic=self.topic, partition=self.partition, count=self.count
        )


@dataclass(frozen=True, slots=True)
class VendorDrifted:
    """A record is not built as the connector's samples are."""

    product: str
    feed: str
    changes: Sequence[Change]

    def emit(self, to: Telemetry) -> None:
        """Count each place, and say it the first time."""
        for path, kind in self.changes:
            if (self.product, self.feed, path, str(kind)) not in to.drifted:
                to.drifted.add((self.product, self.feed, path, str(kind)))
                to.log.warning(
                    "vendor changed its format", product=self.product, feed=self.feed, fields=path, kind=str(kind)
                )
            to.drift.labels(self.product, self.feed, path, str(kind)).inc()


@dataclass(frozen=True, slots=True)
class ParkedChanged:
    """The number of subjects that wait changed."""

    product: str
    partition: int
    subjects: int
    oldest: float
    """UTC seconds; 0: none."""

    def emit(self, to: Telemetry) -> None:
        """Set the gauges."""
        to.parked.labels(self.product, str(self.partition)).set(self.subjects)
        to.parked_oldest.labels(self.product, str(self.partition)).set(self.oldest)


@dataclass(frozen=True, slots=True)
class Identified:
    """A batch of events met its links."""

    delivered: int
    unlinked: int
    announced: int

    def emit(self, to: Telemetry) -> None:
        """Count them."""
        to.decided.labels("identify", "deliver", "").inc(self.delivered)
        to.decided.labels("identify", "skip", "unlinked").inc(self.unlinked)
        to.produced.labels("citizen").inc(self.delivered + self.announced)


@dataclass(frozen=True, slots=True)
class EventUnreadable:
    """Something on one of our own topics is not of our own writing; it is passed by."""

    topic: str
    partition: int
    offset: int

    def emit(self, to: Telemetry) -> None:
        """Count it and say where it lies."""
        to.decided.labels(self.topic, "skip", "unreadable").inc()
        to.log.error(
            "event unreadable", topic=self.topic, partition=self.partition, offset=self.offset,
            remedy="find who writes to this topic",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceTaken:
    """This process polls a source from here on."""

    product: str
    at: int
    """When it was last read well here, UTC milliseconds; now, when it never was."""

    def emit(self, to: Telemetry) -> None:
        """Set the moment: a source that is never read well has been silent since then."""
        to.polled.labels(self.product).set(self.at / 1000)


@dataclass(frozen=True, slots=True)
class SourceGivenBack:
    """Another process polls a source from here on."""

    product: str

    def emit(self, to: Telemetry) -> None:
        """Remove its gauges: they would tell of silence, or of a wait, for ever."""
        to.forget(to.polled, self.product)
        to.forget(to.waiting, self.product)


@dataclass(frozen=True, slots=True)
class SourcePolled:
    """A source was read to its end."""

    product: str
    records: int
    at: int

    def emit(self, to: Telemetry) -> None:
        """Set the moment."""
        to.polled.labels(self.product).set(self.at / 1000)
        to.polls.labels(self.product, "good", "").inc()
        to.log.debug("source polled", product=self.product, records=self.records)


@dataclass(frozen=True, slots=True)
class SourceAway:
    """A source cannot be read for now."""

    product: str
    cause: Cause
    reason: str
    seconds: float
    """Since it could be read."""
    failures: int

    def emit(self, to: Telemetry) -> None:
        """Count it by cause; say for how long, and what puts it right."""
        to.polls.labels(self.product, "away", str(self.cause)).inc()
        to.waiting.labels(self.product).set(self.seconds)
        to.log.warning(
            "source away",
            product=self.product,
            code=str(self.cause),
            reason=self.reason,
            remedy=self.cause.remedy,
            seconds=round(self.seconds, 1),
            failures=self.failures,
        )


@dataclass(frozen=True, slots=True)
class RawWritten:
    """A raw record is safe in Kafka."""

    product: str
    feed: str

    def emit(self, to: Telemetry) -> None:
        """Count it."""
        to.raw.labels(self.product, self.feed).inc()


@dataclass(frozen=True, slots=True)
class CallReceived:
    """A vendor called: `accepted`, `refused`, `unsigned`, or told to come back (`away`)."""

    product: str
    result: str

    def emit(self, to: Telemetry) -> None:
        """Count it; say what was refused."""
        to.hooks.labels(self.product, self.result).inc()
        if self.result != "accepted":
            to.log.warning("webhook call not accepted", product=self.product, reason=self.result)


@dataclass(frozen=True, slots=True)
class SignInTried:
    """A resident came back from a provider: `accepted`, `unknown` (no account is attached), or `distrusted`."""

    provider: str
    result: str
    reason: str = ""
    """What is wrong with what was sent, by name."""

    def emit(self, to: Telemetry) -> None:
        """Count it; say what was not believed."""
        to.sign_ins.labels(self.provider, self.result).inc()
        if self.result == "distrusted":
            to.log.warning("sign-in not believed", name=self.provider, reason=self.reason)


@dataclass(frozen=True, slots=True)
class EventsStored:
    """A batch of events is in SQL."""

    results: Mapping[str, int]
    """`inserted`, `replaced`, `ignored`."""
    commands: Mapping[str, int]
    read_at: Sequence[tuple[str, int]]
    """Product and reading moment (ms) of what was inserted."""

    def emit(self, to: Telemetry) -> None:
        """Count them, and measure from the reading to here."""
        for result, count in self.results.items():
            to.entries.labels(result).inc(count)
        for kind, count in self.commands.items():
            to.commands.labels(kind).inc(count)
        now = time.time()
        for product, read_at in self.read_at:
            to.read_to_account.labels(product).observe(max(now - read_at / 1000, 0.0))


@dataclass(frozen=True, slots=True)
class Waiting:
    """The role waits for something outside; 0 seconds: not any more."""

    what: str
    seconds: float
    reason: str = ""

    def emit(self, to: Telemetry) -> None:
        """Set the gauge and say so."""
        to.waiting.labels(self.what).set(self.seconds)
        if self.seconds:
            to.log.warning("waiting", name=self.what, seconds=round(self.seconds, 1), reason=self.reason)
        else:
            to.log.info("waited no longer", name=self.what)


@dataclass(frozen=True, slots=True)
class OutboxCounted:
    """How many rows of the outbox are in which state."""

    rows: Mapping[tuple[str, str], int]

    def emit(self, to: Telemetry) -> None:
        """Set the gauges; a state that nothing is in any more is 0."""
        for channel in CHANNELS:
            for state in STATES:
                to.outbox.labels(channel, state).set(self.rows.get((channel, state), 0))


@dataclass(frozen=True, slots=True)
class NoticesDecided:
    """Notices that were due were decided again: they go out, wait on, or are of no use any more."""

    states: Mapping[str, int]

    def emit(self, to: Telemetry) -> None:
        """Count them by what became of them."""
        for state, count in self.states.items():
            to.decided_again.labels(state).inc(count)


@dataclass(frozen=True, slots=True)
class DeadlinesLooked:
    """What has not gone out was held against the moments until which it is of use."""

    late: Mapping[tuple[str, str], int]
    """Notices that will be too late, by channel and topic."""

    def emit(self, to: Telemetry) -> None:
        """Set the gauges."""
        for (channel, topic), count in self.late.items():
            to.too_late.labels(channel, topic).set(count)


@dataclass(frozen=True, slots=True)
class RowDelivered:
    """A row of the outbox was tried: `sent`, `later`, `refused`, `expired` or `unsure`."""

    channel: str
    result: str
    code: str

    def emit(self, to: Telemetry) -> None:
        """Count it; say what did not arrive."""
        to.delivered.labels(self.channel, self.result).inc()
        if self.result != "sent":
            to.log.warning("delivery not done", channel=self.channel, state=self.result, code=self.code)


@dataclass(frozen=True, slots=True)
class DatasetWritten:
    """A dataset was published."""

    dataset: str
    rows: int
    at: float
    """When its file last changed, UTC seconds: a restart publishes the same once more."""

    def emit(self, to: Telemetry) -> None:
        """Set the gauges and say so."""
        to.exported.labels(self.dataset).set(self.rows)
        to.exported_at.labels(self.dataset).set(self.at)
        to.log.info("dataset published", dataset=self.dataset, rows=self.rows)


@dataclass(frozen=True, slots=True)
class DatasetRefused:
    """A dataset was not published; what was published of it before stays."""

    dataset: str
    problem: str
    """Names fields and codes, no values."""

    def emit(self, to: Telemetry) -> None:
        """Raise the gauge and say why."""
        to.dataset_refused.labels(self.dataset).set(1)
        to.log.error("dataset refused", dataset=self.dataset, reason=self.problem)


@dataclass(frozen=True, slots=True)
class DatasetSound:
    """A dataset could be published, whether it changed or not."""

    dataset: str
    withdrawn: int
    """Cells that were told once and are not any more, because something of them was taken back."""

    def emit(self, to: Telemetry) -> None:
        """Set the gauges."""
        to.dataset_refused.labels(self.dataset).set(0)
        to.withdrawn.labels(self.dataset).set(self.withdrawn)


@dataclass(frozen=True, slots=True)
class CellsWithdrawn:
    """Something of what was published was taken back: its cells are gone from the files."""

    dataset: str
    count: int

    def emit(self, to: Telemetry) -> None:
        """Say how many; not which."""
        to.log.warning("cells withdrawn", dataset=self.dataset, count=self.count)
