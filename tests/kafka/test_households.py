"""What a clerk changes at the desk goes through Kafka, and comes out on the resident's page."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from city import Hub, eventually, link
from web_town import seal_of

from hub.model.intake import Emit
from hub.process import free_port
from hub.testing.cluster import Kafka

pytestmark = pytest.mark.kafka
MEAL = "(chrono)"
"""What stands beside a line that the canteen told, and nowhere else."""


def eat(hub: Hub, child: int) -> None:
    """Let the canteen tell of a child's meal of tomorrow."""
    day = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    body = {
        "id": str(uuid4()),
        "event": "presence",
        "at": datetime.now(UTC).isoformat(),
        "booking": {
            "id": 1,
            "user_external_id": f"E{child}",
            "in_waiting_list": False,
            "event": {"slug": f"cantine-{day}", "label": "Cantine", "datetime": f"{day} 11:30:00"},
        },
    }
    call = Emit("callback", f"chrono:E{child}", json.dumps(body).encode(), int(time.time() * 1000), "application/json")
    hub.writer.emit("chrono", call)


@contextmanager
def resident(hub: Hub, citizen: str) -> Iterator[Callable[[], bool]]:
    """Sign somebody in; yield what tells whether the meal is on their page."""
    door = hub.hub("login", citizen).strip()
    with httpx.Client(base_url=door.partition("/connexion/")[0], follow_redirects=True) as browser:
        seal = seal_of(browser.get(door).text)
        browser.post("/connexion", data={"token": door.rpartition("/")[2], "seal": seal}).raise_for_status()
        yield lambda: MEAL in browser.get("/compte").raise_for_status().text


def answers(url: str) -> bool:
    """Tell whether somebody is there."""
    try:
        return httpx.get(url, timeout=2).status_code < 500
    except httpx.HTTPError:
        return False


def test_a_move_is_on_the_pages_of_both_accounts_and_its_undo_too(tmp_path: Path) -> None:
    """The desk gives the order, the roles carry it out: a meal changes its account, and comes back."""
    giver, taker, child = str(uuid4()), str(uuid4()), 1
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"web.port": str(port), "web.public_url": url, "web.tokens_file": str(tmp_path / "tokens.toml")}
    with (
        Kafka(tmp_path / "kafka") as node,
        Hub(node, tmp_path, roles=("normalise", "project", "web"), settings=settings) as hub,
    ):
        token = hub.hub("token", "new", "centre", "--scope", "households:change").strip()
        eventually(lambda: answers(url))
        with (
            resident(hub, giver) as given,
            resident(hub, taker) as taken,
            httpx.Client(base_url=url, auth=("clerk", token), follow_redirects=True) as clerk,
        ):

            def order(**told: str) -> None:
                """Give an order as the form of the page does."""
                desk = clerk.get("/foyers", params={"citizen": giver}).text
                told |= {"citizen": giver, "seal": seal_of(desk)}
                clerk.post("/foyers", data=told).raise_for_status()

            hub.send(giver, link(giver, child))
            eat(hub, child)
            eventually(lambda: (given(), taken()) == (True, False))
            order(to=taker, everything="true")
            eventually(lambda: (given(), taken()) == (False, True))
            desk = clerk.get("/foyers", params={"citizen": giver}).text
            # The newest change stands first.
            order(command=re.findall(r'name="command" value="([0-9a-f-]{36})"', desk)[0])
            eventually(lambda: (given(), taken()) == (True, False))
