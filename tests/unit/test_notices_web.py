"""What comes back about messages: one click ends them, and providers say what became of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from connectors.sinks.mail.simulator import Simulator
from hub import catalogue
from hub.config import Settings, Sink
from hub.delivery import seals
from hub.kafka.project import as_json
from hub.model.event import StoredEvent
from hub.model.record import Seq
from hub.roles.policy import CityPolicy
from hub.store import Store
from hub.store import tables as t
from hub.web.app import create_app
from schemas.models.citizen_portal import Channel, PreferencesChanged

NOW = datetime(2026, 3, 10, 7, 40, tzinfo=UTC)
ANNE = "5b0c2f1e-8d57-4a39-9c7e-1f6a2d4b8e03"
MARC = "9c2a6d10-7b1e-4f6c-8a0e-2d5b7c9e1f22"
PAUL = "0d9a7c34-2b61-4c58-8f1d-6e3b5a7c9d10"
ROW = "0b1d5b52-52f0-5b7e-8a51-6a1f0e6a9d10"


class Hub:
    """A web role with one message that went out."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self.secret = folder / "secret"
        self.secret.write_text("a secret\n", "utf-8")
        sink = Sink(base_url="https://vendor.invalid", receipts_secret_file=self.secret)
        settings = Settings.model_validate(
            {
                "sinks": {"sms": sink},
                "mail": {"receipts_secret_file": self.secret},
                "notifications": {"unsubscribe_secret_file": self.secret},
            }
        )
        app = create_app(
            settings, self.store, catalogue.schemas(), {"publik": catalogue.connectors()["publik"]}, publish,
            lambda *_: None, lambda: NOW,
        )  # fmt: skip
        self.client = TestClient(app)
        payload = json.dumps({"address": "+33639980001"})
        with self.store._write() as connection:
            connection.execute(
                insert(t.outbox).values(
                    id=ROW,
                    position=1,
                    channel="sms",
                    topic="canteen",
                    citizen=ANNE,
                    subject="s",
                    event_id="e",
                    payload=payload,
                    state="sent",
                    attempts=1,
                    next_at=0,
                    created_at=0,
                )
            )

    def receipt(self, status: str, said: str = "a secret") -> int:
        body = {"reference": ROW, "status": status}
        return self.client.post("/receipts/sms", json=body, headers={"Authorization": f"Bearer {said}"}).status_code


async def publish(_product: str, _wish: object) -> str:
    return ""


@pytest.fixture
def hub(tmp_path: Path, store: Store) -> Hub:
    return Hub(tmp_path, store)


def test_one_click_ends_messages_of_a_topic(hub: Hub) -> None:
    """Following the link does nothing, pressing the button does; without a login."""
    link = f"/desinscription/{ROW}/{seals.of(hub.secret, ROW)}"
    assert "par aucun moyen" in hub.client.get(link).text
    assert hub.store.stops() == {}
    # A mail program posts by itself: RFC 8058.
    assert "enregistré" in hub.client.post(link, data={"List-Unsubscribe": "One-Click"}).text
    assert hub.store.stops() == {"unsubscribed": 1}


def test_nobody_ends_another_one_s_messages(hub: Hub) -> None:
    """A link that is not sealed by the hub is none."""
    for seal in ("0" * 32, "x", seals.of(hub.secret, ANNE)):
        assert hub.client.post(f"/desinscription/{ROW}/{seal}").status_code == 404
    assert hub.store.stops() == {}
    assert seals.of(None, ROW) is None


def test_a_number_that_does_not_exist_is_heard_of_and_not_written_to_again(hub: Hub) -> None:
    """The row is refused, the address stopped."""
    assert hub.receipt("unknown_number") == 204
    assert hub.store.outbox_rows("sms") == [(ROW, "refused")]
    assert hub.store.stops() == {"bounced": 1}


@pytest.mark.parametrize("reference", ["", "another's", r"\u0000", r"\ud800"])
def test_a_receipt_for_what_the_hub_did_not_send_changes_nothing(hub: Hub, reference: str) -> None:
    """It is taken, so that it does not come again, whatever its reference is made of."""
    body = f'{{"reference": "{reference}", "status": "unknown_number"}}'
    headers = {"Authorization": "Bearer a secret"}
    assert hub.client.post("/receipts/sms", content=body, headers=headers).status_code == 204
    assert (hub.store.outbox_rows("sms"), hub.store.stops()) == ([(ROW, "sent")], {})


def test_what_a_mail_server_sends_back_is_a_receipt(hub: Hub) -> None:
    """As it stands, by a pipe of the server's; nobody else may say that an address is dead."""
    (dead, *_, absent) = (body for body, _ in Simulator().receipts(ROW))
    kind = {"Content-Type": "message/rfc822"}
    headers = {"Authorization": "Bearer a secret", **kind}
    assert hub.client.post("/receipts/mail", content=dead, headers=kind).status_code == 401
    assert hub.client.post("/receipts/mail", content=absent, headers=headers).status_code == 204
    assert (hub.store.outbox_rows("sms"), hub.store.stops()) == ([(ROW, "sent")], {})
    assert hub.client.post("/receipts/mail", content=dead, headers=headers).status_code == 204
    assert (hub.store.outbox_rows("sms"), hub.store.stops()) == ([(ROW, "refused")], {"bounced": 1})


def test_stop_by_short_message_ends_them_on_that_number(hub: Hub) -> None:
    """For whoever it is of; other answers say nothing, and mail goes on."""
    for citizen, phone in ((ANNE, "+33639980001"), (MARC, "+33639980001"), (PAUL, "+33639980002")):
        wish = PreferencesChanged(
            citizen=citizen, email="a@example.invalid", topics=("canteen",), phone=phone, channel=Channel.SMS
        )
        event = StoredEvent(
            citizen, wish.TYPE, f"publik:{citizen}", "publik", wish.AUDIENCE, 0, 0, Seq(1, 0, 0), 1, wish, as_json(wish)
        )
        hub.store.project([event], CityPolicy(Settings()), NOW)
    headers = {"Authorization": "Bearer a secret"}

    def answers(text: str, number: str = "+33639980001") -> int:
        return hub.client.post("/receipts/sms", json={"from": number, "text": text}, headers=headers).status_code

    assert [answers("Merci !"), answers("STOP", "\0"), answers("STOP", "+33639980009")] == [204] * 3
    assert hub.store.stops() == {}
    assert answers("Stop svp") == 204
    assert hub.store.stops() == {"unsubscribed": 2}
    with hub.store._read() as connection:
        stopped = connection.execute(select(t.stopped.c.citizen, t.stopped.c.channel, t.stopped.c.topic)).all()
    assert sorted(map(tuple, stopped)) == sorted([(ANNE, "sms", "*"), (MARC, "sms", "*")])


def test_a_message_that_did_not_arrive_stops_nothing(hub: Hub) -> None:
    """A telephone that was off is not a dead number."""
    assert hub.receipt("undelivered") == 204
    assert (hub.store.outbox_rows("sms"), hub.store.stops()) == ([(ROW, "refused")], {})


def test_a_receipt_needs_the_token_and_a_shape(hub: Hub) -> None:
    """Neither a stranger nor a provider that babbles changes anything."""
    assert hub.receipt("unknown_number", "another") == 401
    headers = {"Authorization": "Bearer a secret"}
    for body in (b"", b"[]", b'{"reference": 1}'):
        assert hub.client.post("/receipts/sms", content=body, headers=headers).status_code == 400
    assert hub.client.post("/receipts/webhook", content=b"{}", headers=headers).status_code == 404
    assert hub.store.outbox_rows("sms") == [(ROW, "sent")]


def test_the_operations_page_says_what_will_be_too_late(hub: Hub) -> None:
    """Before it is: nothing has gone out for an hour, and three notices are of use until 09:00."""
    moment = int(NOW.timestamp() * 1000)
    rows = [
        {"id": f"r{n}", "position": n, "channel": "mail", "topic": "canteen", "citizen": ANNE, "subject": "s",
         "event_id": "e", "payload": "{}", "state": "pending", "attempts": 0, "next_at": 0,
         "created_at": moment - 3_600_000, "until": moment + 20 * 60_000}
        for n in range(3)
    ]  # fmt: skip
    with hub.store._write() as connection:
        connection.execute(insert(t.outbox), rows)
    page = TestClient(hub.client.app, client=("127.0.0.1", 1), headers={"Host": "127.0.0.1"}).get("/operations").text
    assert "3 will miss 09:00" in page
