"""Everything that can happen, seen: one dataclass per occurrence, whose effects are a metric and a log line."""

from hub.telemetry.server import serve
from hub.telemetry.telemetry import Telemetry

__all__ = ["Telemetry", "serve"]
