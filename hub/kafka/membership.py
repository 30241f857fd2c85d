"""Leave a consumer group at once.

A member with a stable name is not missed when it only stops: its partitions wait until its session ends,
for the sake of a restart.  Neither client says goodbye for such a member, so this does.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

LEAVE_SECONDS = 3.0
"""How long a goodbye may take; without one the broker finds out by itself."""


def leave(options: Mapping[str, Any], group: str, instance: str) -> None:
    """Take a stopped member out of its group; `options` are kafka-python's connection settings."""

    def say() -> None:
        # A quarter of a second that a start would pay for.
        from kafka.admin import KafkaAdminClient, MemberToRemove
        from kafka.errors import KafkaError

        with suppress(KafkaError), closing(KafkaAdminClient(**options)) as admin:
            admin.remove_group_members(group, [MemberToRemove(group_instance_id=instance)])

    # A broker that is away must not hold a stop up.
    thread = threading.Thread(target=say, name="leave", daemon=True)
    thread.start()
    thread.join(LEAVE_SECONDS)
