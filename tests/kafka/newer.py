"""The command line of a hub whose canteen mapping is newer: other labels, nothing of one child, more of another."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from hub import catalogue
from hub.cli.main import main
from hub.model.connector import Connector, Feed

HIDDEN, FULLER = "chrono:E3", "chrono:E4"


def newer(feed: Feed) -> Feed:
    """Correct what the feed's mapping says."""

    def corrected(previous: Any, document: Any, context: Any) -> Any:
        state, found = feed.map(previous, document, context)  # type: ignore[call-arg, misc]
        if isinstance(found, str):
            return state, found
        facts = [
            fact._replace(payload=dataclasses.replace(fact.payload, label=fact.payload.label.upper()))  # type: ignore[type-var]
            for fact in found
            if context.key != HIDDEN
        ]
        if context.key == FULLER:
            facts += [fact._replace(entity=f"{fact.entity} bis") for fact in facts[-1:]]
        return state, facts or "nothing"

    return dataclasses.replace(feed, map=corrected)


def connectors(found: Mapping[str, Connector] = catalogue.connectors()) -> Mapping[str, Connector]:
    """Put the newer mapping in the place of the older one."""
    chrono = found["chrono"]
    changed = dataclasses.replace(
        chrono,
        manifest=chrono.manifest.model_copy(update={"revision": chrono.manifest.revision + 1}),
        feeds={name: newer(feed) for name, feed in chrono.feeds.items()},
    )
    return {**found, "chrono": changed}


if __name__ == "__main__":
    catalogue.connectors = connectors  # type: ignore[assignment]
    sys.argv[0] = "hub"
    main()
