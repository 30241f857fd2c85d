"""The hub's own worker: the role normalise with a connector for the record of the job."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from datetime import UTC

from job import Booking, arguments

from hub import catalogue
from hub.kafka.fold import Reader
from hub.kafka.normalise import Normalise
from hub.kafka.produce import BatchProducer
from hub.kafka.worker import Worker
from hub.model.connector import Connector, Context, Feed, Manifest
from hub.model.event import Fact
from schemas.models.school_catering import Activity, MealBooked

bootstrap, source, target, group = arguments()


class Silent:
    """Is told everything, and says nothing."""

    def __getattr__(self, _name: str) -> object:
        return lambda *_args: None


def booking(document: Booking, context: Context) -> Iterable[Fact]:
    """Map."""
    meal = document.meal
    payload = MealBooked(
        booking_id=document.id,
        meal_date=meal.date,
        activity=Activity(meal.activity),
        label=meal.label,
        waiting_list=meal.waiting,
    )
    return [Fact(payload, context.key, document.at.astimezone(UTC), document.id)]


async def main() -> None:
    """Run until killed."""
    manifest = Manifest.model_validate(
        {
            "summary": "s",
            "vendor": "v",
            "owner": "o",
            "stability": "stable",
            "revision": 1,
            "feeds": {
                "booking": {
                    "summary": "s",
                    "style": "webhook",
                    "content_type": "application/json",
                    "model": "Booking",
                    "key": "bench:<child>",
                    "on_reject": "park",
                    "emits": ["MealBooked"],
                }
            },
        }
    )
    product = source.removeprefix("raw.")
    connector = Connector(
        product, "school_catering", manifest, {"booking": Feed("booking", manifest.feeds["booking"], Booking, booking)}
    )
    options = {"bootstrap_servers": bootstrap}
    reader = Reader(options)
    counts = await reader.partitions(
        [source, f"quarantine.{product}", f"state.{product}", "event.school_catering.v1", "normalise.switch"]
    )
    work = Normalise(
        {product: connector},
        catalogue.schemas(),
        {product: 1},
        reader,
        BatchProducer(options, counts),
        options,
        counts[source],
        Silent(),  # type: ignore[arg-type]
    )
    work.group = group
    faust = {"broker": f"kafka://{bootstrap}", "datadir": tempfile.mkdtemp(prefix="faust-")}
    await Worker(work, faust, Silent(), reader).run()  # type: ignore[arg-type]


asyncio.run(main())
