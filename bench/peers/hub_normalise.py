"""The hub's own worker: the role normalise with a connector for the record of the job."""

from __future__ import annotations

import asyncio
import tempfile

from connector import CONNECTOR, PRODUCT
from job import arguments

from hub import catalogue
from hub.kafka.fold import Reader
from hub.kafka.normalise import Normalise
from hub.kafka.produce import BatchProducer
from hub.kafka.worker import Worker

bootstrap, source, target, group = arguments()


class Silent:
    """Is told everything, and says nothing."""

    def __getattr__(self, _name: str) -> object:
        return lambda *_args: None


async def main() -> None:
    """Run until killed."""
    options = {"bootstrap_servers": bootstrap}
    reader = Reader(options)
    counts = await reader.partitions(
        [source, f"quarantine.{PRODUCT}", f"state.{PRODUCT}", "event.school_catering.v1", "normalise.switch"]
    )
    work = Normalise(
        {PRODUCT: CONNECTOR},
        catalogue.schemas(),
        {PRODUCT: 1},
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
