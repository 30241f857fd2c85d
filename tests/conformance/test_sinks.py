"""What every sink must do; a new folder under `connectors/sinks` is picked up by itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.catalogue import ROOT, sinks
from hub.config import Credential, Loaded, Settings, check_sinks
from hub.config import Sink as Chosen
from hub.delivery.driver import Provider, drive
from hub.delivery.mail import Server
from hub.model.errors import Transient
from hub.model.intake import Get
from hub.model.sink import Begin, Later, Message, Outcome, Refused, Repeats, Reply, Sent, Sink, Unsure
from hub.roles.deliver import credentials
from hub.testing.sink import FAULTS, WELL, Simulator

SINKS = list(sinks().values())
every_sink = pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.product)
CASE = {"case": "9a1d", "status": "DONE", "message": ""}
ADDRESSES = {
    "hubee": "",
    "mail": "anne@exemple.invalid",
    "sms": "+33639980001",
    "app": "5b0c2f1e-8d57-4a39-9c7e-1f6a2d4b8e03",
}
ROW = "0b1d5b52-52f0-5b7e-8a51-6a1f0e6a9d10"


class Killed(BaseException):
    """The process ends here."""


class Try:
    """A row of the outbox, its sink and its provider, as deliver puts them together."""

    def __init__(self, sink: Sink, folder: Path, channel: str | None = None) -> None:
        self.sink = sink
        self.simulator: Simulator = simulator(sink)()
        self.channel = channel or sink.manifest.carries[0]
        self.begun = False
        self.left = -1
        secret = folder / "secret"
        secret.write_text(getattr(self.simulator, "secret", "a secret"), "utf-8")
        self.provider = provider(sink, secret, httpx.MockTransport(self.http), self.smtp)

    def http(self, request: httpx.Request) -> httpx.Response:
        answer = self.simulator.http(request)
        self.step()
        return answer

    def smtp(self, server: Server, message: Message) -> Any:
        reply = self.simulator.smtp(server, message)
        self.step()
        return reply

    def begin(self) -> None:
        self.begun = True
        self.step()

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def once(self, killed_after: int = -1) -> Outcome | str:
        """Try once; return what became of it, `away` or `killed`."""
        self.left = killed_after
        try:
            outcome = drive(
                self.sink, message(self.channel, self.begun), self.simulator.settings, self.provider, self.begin
            )
        except Transient:
            return "away"
        except Killed:
            return "killed"
        if isinstance(outcome, Later):
            self.begun = False
        return outcome

    def to_the_end(self) -> Outcome:
        """Try as often as the hub would."""
        for _ in range(5):
            outcome = self.once()
            if isinstance(outcome, Sent | Refused | Unsure):
                return outcome
        raise AssertionError("it never ends")


def message(channel: str, begun: bool = False) -> Message:
    return Message(
        ROW, channel, "canteen", ADDRESSES[channel], "Sujet", "Bonjour,\n", begun, "https://ville.invalid/x", CASE
    )


def simulator(sink: Sink) -> type[Simulator]:
    found: type[Simulator] = import_module(f"connectors.sinks.{sink.product}.simulator").Simulator
    return found


def provider(sink: Sink, secret: Path, transport: httpx.BaseTransport, smtp: Callable[..., Any]) -> Provider:
    chosen = chosen_by_a_city(sink, secret)
    return Provider(
        "https://vendor.invalid/", "hub", None, credentials(chosen), secret_file=secret, server=Server("", 25, "a@b.c"),
        transport=transport, smtp=smtp,
    )  # fmt: skip


def chosen_by_a_city(sink: Sink, secret: Path) -> Chosen:
    kinds = {name: kind for name, kind in sink.manifest.credentials.items() if kind != "hmac"}
    return Chosen(
        base_url="https://vendor.invalid",
        settings=dict(simulator(sink).settings),
        credentials={
            name: Credential.model_validate(
                {"kind": kind, "secret_file": secret, "client_id": "hub", "token_url": "https://vendor.invalid/token"}
            )
            for name, kind in kinds.items()
        },
        secret_file=secret,
    )


@every_sink
def test_each_channel_takes_a_message_once(sink: Sink, tmp_path: Path) -> None:
    """A good day: one try, one message, under the row's id."""
    for channel in sink.manifest.carries:
        tried = Try(sink, tmp_path, channel)
        assert tried.once() == Sent()
        assert tried.simulator.taken == [ROW]


@every_sink
def test_a_provider_that_does_nothing_now_is_tried_again(sink: Sink, tmp_path: Path) -> None:
    """Nothing was taken; then one is, and one only."""
    tried = Try(sink, tmp_path)
    tried.simulator.faults = ["temporary", "temporary"]
    assert isinstance(tried.once(), Later | str)
    assert tried.simulator.taken == []
    assert tried.to_the_end() == Sent()
    assert tried.simulator.taken == [ROW]


@every_sink
def test_a_message_that_is_never_taken_is_refused_with_a_code(sink: Sink, tmp_path: Path) -> None:
    """The code names no value; nothing is tried for ever."""
    tried = Try(sink, tmp_path)
    tried.simulator.faults = ["permanent"]
    outcome = tried.once()
    assert isinstance(outcome, Refused)
    assert outcome.code.replace("_", "").isalnum()
    assert tried.simulator.taken == []


@every_sink
@pytest.mark.parametrize("before", [0, 1])
def test_a_lost_answer_never_makes_two_messages(sink: Sink, tmp_path: Path, before: int) -> None:
    """Taken, and the connection ended: by asking, by the same id, or by not trying again."""
    tried = Try(sink, tmp_path)
    tried.simulator.faults = [*[WELL] * before, "lost"]
    holds(sink, tried.to_the_end(), tried.simulator.taken)


@every_sink
@pytest.mark.parametrize("killed_after", range(1, 9))
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_kill_anywhere_never_makes_two_messages(
    sink: Sink, tmp_path: Path, killed_after: int, fault: str | None
) -> None:
    """After any step, on a good day or a bad one."""
    tried = Try(sink, tmp_path)
    tried.simulator.faults = [fault] if fault is not None else []
    if tried.once(killed_after) == "killed":
        outcome = tried.to_the_end()
        if fault != "permanent":
            holds(sink, outcome, tried.simulator.taken)


def holds(sink: Sink, outcome: Outcome, taken: list[str]) -> None:
    """Check what the manifest promises of repeated tries."""
    match sink.manifest.repeats:
        case Repeats.ASKED:
            assert (outcome, taken) == (Sent(), [ROW])
        case Repeats.SAME_ID:
            assert outcome == Sent()
            assert set(taken) == {ROW}
        case Repeats.ONCE:
            assert len(taken) <= 1
            assert isinstance(outcome, Unsure) or (outcome, taken) == (Sent(), [ROW])


answers = st.builds(
    httpx.Response,
    st.integers(200, 599),
    headers=st.dictionaries(st.sampled_from(["retry-after", "content-type"]), st.text("0123456789-.x", max_size=5)),
    content=st.binary(max_size=40)
    | st.sampled_from([b"[]", b"{}", b'{"notifications": [{"reference": 1}]}', b'{"notifications": {"status": []}}']),
)


@every_sink
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=answers, begun=st.booleans())
def test_any_answer_gives_an_outcome_or_is_waited_for(
    sink: Sink, tmp_path: Path, answer: httpx.Response, begun: bool
) -> None:
    """Whatever something in between says, the row has a state and the hub goes on."""
    secret = tmp_path / "secret"
    secret.write_text("a secret", "utf-8")
    tried = Try(sink, tmp_path)
    tried.provider = provider(
        sink, secret, httpx.MockTransport(lambda _request: answer), lambda *_: Reply(answer.status_code)
    )
    tried.begun = begun
    assert tried.once() == "away" or isinstance(tried.once(), Sent | Refused | Later | Unsure | str)


@every_sink
def test_what_a_provider_says_later_is_understood(sink: Sink, tmp_path: Path) -> None:
    """Arrived, not arrived, never will; and what has no end says nothing."""
    said = list(Try(sink, tmp_path).simulator.receipts(ROW))
    assert bool(said) == (sink.receive is not None)
    for body, receipt in said:
        assert sink.receive is not None
        assert sink.receive(body) == receipt


@every_sink
@given(body=st.binary(max_size=60) | st.sampled_from([b"[]", b"{}", b'{"reference": 1, "status": 2}', b"[" * 99999]))
def test_a_call_that_is_none_is_told_by_an_error_that_the_web_role_knows(sink: Sink, body: bytes) -> None:
    """Nothing else leaves it."""
    if sink.receive is not None:
        try:
            sink.receive(body)
        except (ValueError, KeyError, TypeError, RecursionError):
            pass


@every_sink
def test_nothing_is_handed_over_before_it_is_remembered(sink: Sink) -> None:
    """Where a second message would be one too many, `Begin` comes before the first request that writes."""
    if sink.manifest.repeats is Repeats.SAME_ID:
        return
    delivery = sink.deliver(message(sink.manifest.carries[0]), simulator(sink).settings)
    first = next(delivery)
    delivery.close()
    assert isinstance(first, Begin | Get)


@every_sink
def test_a_city_can_start_with_the_simulators_settings(sink: Sink, tmp_path: Path) -> None:
    """What a simulator needs fits the manifest."""
    if sink.product == "mail":
        return
    chosen = chosen_by_a_city(sink, tmp_path / "secret")
    assert check_sinks(Loaded(Settings(sinks={sink.product: chosen}), {}), sinks()) == []


@every_sink
def test_folder_holds_what_it_should(sink: Sink) -> None:
    """A sink is one folder with the same files as every other, and says in the guide what it repeats."""
    for name in ("__init__.py", "connector.toml", "sink.py", "simulator.py"):
        assert (ROOT / "connectors" / "sinks" / sink.product / name).is_file()
