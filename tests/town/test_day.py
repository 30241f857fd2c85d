"""Show that a whole school day comes out even, and that a town that is started again goes on."""

from __future__ import annotations

from pathlib import Path
from pprint import pformat

import pytest
from small_hub import SmallHub, town

from hub.testing.town.day import Day
from hub.testing.town.host import Host, Server
from hub.testing.town.journal import Account


def play(host: Host, hub: SmallHub, seconds: float) -> Day:
    day = Day(host.world, seconds)
    day.start()
    assert day.wait(60)
    assert day.progress()["failed"] is None
    return day


def settled(host: Host, hub: SmallHub) -> None:
    assert host.world.settle(20)
    hub.rounds(2)
    assert not hub.failures


@pytest.mark.timeout(120)
def test_day_balances_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    with SmallHub() as hub:
        host = town(tmp_path, hub)
        host.start()
        with Server(host.app) as server:
            hub.poll_all(host, server.url, 0.1)
            settled(host, hub)
            play(host, hub, 4)
            settled(host, hub)
            check(hub, host)
            facts = len(Account.of(host.journal.entries()).facts)
            hub.stopping.set()
            for thread in hub.threads:
                thread.join()
            host.stop()
        hub.stopping.clear()
        hub.threads.clear()
        again = town(tmp_path, hub)
        assert again.world.days == 1
        again.start()
        assert len(Account.of(again.journal.entries()).facts) == facts
        with Server(again.app) as server:
            hub.instance += "b"
            hub.poll_all(again, server.url, 0.1)
            play(again, hub, 2)
            settled(again, hub)
            check(hub, again)
            again.stop()


def check(hub: SmallHub, host: Host) -> None:
    ledger = hub.ledger(host)
    wrong = {name: told for name, told in ledger.json()["sources"].items() if told["difference"]}
    assert ledger.balanced, pformat(wrong, width=160)
    for source in ledger.sources:
        assert source.facts > 0, source.product
