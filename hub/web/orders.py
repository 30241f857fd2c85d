"""What a desk orders: a record like the portal's, which goes through Kafka and counts once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hub import catalogue
from hub.model.connector import Connector
from hub.model.decision import Quarantine
from hub.model.intake import Call, Emit
from hub.model.record import Origin, Record
from hub.pipeline.process import process
from hub.web.problems import Problem

SHOWN_SECONDS, LOOK_SECONDS = 3.0, 0.1
"""How long an order may take to the database before the page is shown without it, and how often is looked."""


class Orders:
    """Gives orders of one kind to whichever connector takes them."""

    def __init__(
        self, connectors: Mapping[str, Connector], event: str, publish: Callable[[str, Emit], Awaitable[str]]
    ) -> None:
        """`event` is one of the feed that takes the orders; the portal's connector says which feed that is."""
        self._event = event
        self._taker = next(
            (
                (connector, name)
                for connector in connectors.values()
                for name, feed in connector.feeds.items()
                if event in feed.manifest.emits
            ),
            None,
        )
        self._publish = publish

    async def give(self, told: Mapping[str, Any], now: datetime, done: Callable[[], bool]) -> None:
        """Write an order, and wait a moment until `done`, which asks the database.

        Raise `Problem` where the city has no connector that takes it, and where the connector would set it aside:
        in quarantine it would keep what the citizen asks for waiting, and the clerk would not know.
        """
        if self._taker is None:
            remedy = f"Enable a connector that emits {self._event}, such as `publik`."
            raise Problem(501, "no_portal", "Nobody here takes this order", remedy)
        connector, feed = self._taker
        moment = int(now.timestamp() * 1000)
        call = Call(feed=feed, body=json.dumps(told).encode(), headers={}, received_at=moment)
        wish = connector.receive(call)  # type: ignore[misc] # the portal's takes calls
        if not isinstance(wish, Emit):
            raise RuntimeError("the desk's own order is refused")
        record = Record(
            connector.product, feed, wish.key.encode(), wish.value, wish.raw_id or "", moment, Origin("", 0, 0, 0)
        )
        for decision in process(record, connector, catalogue.schemas()).decisions:
            if isinstance(decision, Quarantine):
                at_fault = ", ".join(decision.fields)
                raise Problem(422, "invalid", "Not well formed", f"{at_fault}: {decision.detail}")
        # Nobody outside answered with it.
        await self._publish(connector.product, replace(wish, answer=None))
        for _ in range(int(SHOWN_SECONDS / LOOK_SECONDS)):
            if await asyncio.to_thread(done):
                break
            await asyncio.sleep(LOOK_SECONDS)
