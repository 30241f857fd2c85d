"""What every role needs before it is itself: settings, telemetry, a broker that answers."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

from hub import catalogue
from hub.avro.codec import Schemas
from hub.catalogue import ROOT
from hub.config import Settings
from hub.kafka import topics
from hub.kafka.clients import Refused, for_aiokafka, for_faust, for_kafka_python, wait_for_broker
from hub.model.connector import Connector
from hub.telemetry import Telemetry, serve
from hub.telemetry.events import Failed, RoleStarted, RoleStopped, Waiting
from hub.telemetry.server import Probe, Served

ENVIRONMENT = 3
"""Exit code: something outside has to be put right; starting again will not help."""


class Runtime:
    """One role's process."""

    def __init__(self, role: str, settings: Settings) -> None:
        """Serve telemetry from the first moment: a role that waits is seen waiting."""
        self.role = role
        self.settings = settings
        self.telemetry = Telemetry(role, self.connectors, level=settings.telemetry.log_level)
        self.health: Probe = lambda: (True, "starting")
        self.ready: Probe = lambda: (False, "starting")
        self._served: Served = serve(
            self.telemetry,
            settings.telemetry.host,
            settings.telemetry.port,
            lambda: self.health(),
            lambda: self.ready(),
        )

    @cached_property
    def connectors(self) -> dict[str, Connector]:
        """Connectors that this city uses; without any setting, all that there are."""
        found = catalogue.connectors()
        chosen = self.settings.connectors
        unknown = sorted(chosen.keys() - found.keys())
        if unknown:
            self.stop_here(f"connectors.{unknown[0]}: no such connector; there are {', '.join(sorted(found))}")
        return {name: found[name] for name in found if not chosen or (name in chosen and chosen[name].enabled)}

    @property
    def schemas(self) -> Schemas:
        """The codec."""
        return catalogue.schemas()

    @cached_property
    def plan(self) -> topics.Plan:
        """Topics and epochs."""
        return topic_plan(self.settings)

    def aiokafka(self) -> dict[str, Any]:
        """Return aiokafka's options."""
        return for_aiokafka(self.settings.kafka)

    def kafka_python(self) -> dict[str, Any]:
        """Return kafka-python's options."""
        return for_kafka_python(self.settings.kafka)

    def faust(self) -> dict[str, Any]:
        """Return Faust's options: the broker, and the stable name of this slot."""
        folder = self.settings.data_dir / "faust" / self.role
        # Faust keeps nothing here on this path, but it insists on the folder.
        folder.mkdir(parents=True, exist_ok=True)
        return {
            **for_faust(self.settings.kafka),
            "consumer_group_instance_id": f"hub.{self.role}.{self.settings.workers.slot}",
            "topic_replication_factor": self.settings.kafka.replication,
            "datadir": str(folder),
        }

    def stop_here(self, line: str) -> None:
        """Say in one line what has to be put right, and end."""
        print(f"hub {self.role}: {line}", file=sys.stderr)
        raise SystemExit(ENVIRONMENT)

    def await_kafka(self, stop: threading.Event | None = None) -> bool:
        """Wait for the broker; end when it refuses us."""
        try:
            return wait_for_broker(
                self.settings.kafka,
                lambda seconds, reason: Waiting("kafka", seconds, reason).emit(self.telemetry),
                stop,
            )
        except Refused as error:
            self.stop_here(str(error))
        return False

    def started(self) -> None:
        """Tell that the role works."""
        # What is there by now stays: to look all of it through again would stop everything for 0.1 s.
        gc.collect()
        gc.freeze()
        self.ready = lambda: (True, "ready")
        RoleStarted(self.settings.workers.slot).emit(self.telemetry)

    def failed(self, error: BaseException) -> None:
        """Tell of a failure that ends the role."""
        Failed(self.role, error).emit(self.telemetry)

    def close(self) -> None:
        """Tell that the role ended."""
        RoleStopped().emit(self.telemetry)
        self._served.close()


def topic_plan(settings: Settings) -> topics.Plan:
    """Read `deploy/topics.toml` for the products and domains that there are."""
    schemas = catalogue.schemas()
    return topics.read(
        ROOT / "deploy" / "topics.toml",
        settings.kafka.size,
        settings.kafka.replication,
        catalogue.connectors(),
        schemas.domains("person", "public", "command"),
        schemas.domains("person"),
    )


Run = Callable[[Settings], None]
"""A role's entry: works until SIGTERM, raises SystemExit otherwise."""
