"""identify: events of linked subjects to the citizens' topic."""

from __future__ import annotations

from hub.config import Settings
from hub.kafka.identify import Identify
from hub.kafka.produce import BatchProducer
from hub.roles.runtime import Runtime
from hub.roles.worker import Watching
from hub.roles.worker import run as run_worker
from hub.telemetry.events import Identified


class _Deliveries(Watching):
    def identified(self, delivered: int, unlinked: int, announced: int) -> None:
        """Count what went to citizens."""
        Identified(delivered, unlinked, announced).emit(self._telemetry)


def run(settings: Settings) -> None:
    """Work until SIGTERM."""
    runtime = Runtime("identify", settings)
    domains = runtime.schemas.domains("person")
    run_worker(
        runtime,
        lambda reader, counts, _declare: Identify(
            domains,
            runtime.schemas,
            reader,
            BatchProducer(runtime.aiokafka(), counts),
            _Deliveries(runtime),
            withheld=runtime.schemas.names("clerk"),
        ),
    )
