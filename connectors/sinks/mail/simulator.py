"""A mail server in a box: what every provider can do is enough."""

from __future__ import annotations

from hub.testing import sink


class Simulator(sink.Simulator):
    """Takes mail, and forgets nothing of whom it took it for."""
