"""What a provider's answer, or its silence, is told to a sink as; and how calls are signed."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hub.delivery.driver import LARGEST_ANSWER, Provider, drive
from hub.intake.credentials import SignedToken
from hub.model.errors import Denied, Transient
from hub.model.intake import Get, Post
from hub.model.sink import Delivery, Lost, Mail, Message, Sent, Sign, Sink

MESSAGE = Message("row", "mail", "t", "a@b.example", "S", "T")


def asked(answer: Callable[[httpx.Request], httpx.Response], **options: object) -> Provider:
    return Provider("https://vendor.invalid/", "hub", None, {}, transport=httpx.MockTransport(answer), **options)  # type: ignore[arg-type]


def fails(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectError("x"), Transient),
        (httpx.ConnectTimeout("x"), Transient),
        (httpx.ReadError("x"), Lost),
        (httpx.ReadTimeout("x"), Lost),
        (httpx.WriteError("x"), Lost),
        (httpx.RemoteProtocolError("x"), Lost),
    ],
)
def test_silence_is_lost_only_if_the_request_went_out(error: Exception, told: type[Transient]) -> None:
    """Who was never reached has certainly done nothing."""
    with pytest.raises(Transient) as caught:
        asked(fails(error)).ask(Post("/messages", body={}))
    assert type(caught.value) is told


def test_refused_credentials_are_told_apart_and_other_answers_are_the_sinks_own() -> None:
    """A 503 is an answer here: some providers then certainly did nothing."""
    with pytest.raises(Denied):
        asked(lambda _: httpx.Response(401)).ask(Get("/x"))
    assert asked(lambda _: httpx.Response(503, headers={"Retry-After": "7"})).ask(Get("/x")).status == 503


def test_an_answer_without_end_is_lost() -> None:
    """It is not read to its end, and what it answered was carried out."""
    with pytest.raises(Lost):
        asked(lambda _: httpx.Response(200, content=b"x" * (LARGEST_ANSWER + 1))).ask(Get("/x"))


def test_a_call_is_signed_as_standard_webhooks_says(tmp_path: Path) -> None:
    """Over id, moment and body, with the secret's bytes."""
    file = tmp_path / "secret"
    file.write_text("whsec_" + base64.b64encode(b"secret bytes").decode() + "\n", "utf-8")
    headers = asked(fails(AssertionError()), secret_file=file, clock=lambda: 1773128400.9).sign(Sign("row", b"{}"))
    expected = base64.b64encode(hmac.digest(b"secret bytes", b"row.1773128400.{}", "sha256")).decode()
    assert headers == {
        "webhook-id": "row",
        "webhook-timestamp": "1773128400",
        "webhook-signature": f"v1,{expected}",
    }


@pytest.mark.parametrize("content", [None, "", "whsec_???"])
def test_without_a_secret_nothing_goes_out(tmp_path: Path, content: str | None) -> None:
    """An empty one would let anybody sign."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(Transient):
        asked(fails(AssertionError()), secret_file=file).sign(Sign("row", b"{}"))


def test_a_signed_token_names_its_issuer_and_its_moment(tmp_path: Path) -> None:
    """As the notification service checks it."""
    file = tmp_path / "key"
    file.write_text("the key\n", "utf-8")
    request = next(SignedToken("service", file).auth_flow(httpx.Request("GET", "https://vendor.invalid/")))
    head, claims, signature = request.headers["authorization"].removeprefix("Bearer ").split(".")
    digest = hmac.digest(b"the key", f"{head}.{claims}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == digest
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"typ": "JWT", "alg": "HS256"}
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["iss"] == "service"


def test_what_went_wrong_is_thrown_where_the_sink_can_catch_it() -> None:
    """A sink that catches it says what became of the message; one that does not ends the turn."""

    def careful(_message: Message, _settings: object) -> Delivery:
        try:
            yield Post("/messages", body={})
        except Lost:
            return Sent()
        raise AssertionError

    def careless(message: Message, _settings: object) -> Delivery:
        yield Mail(message)
        raise AssertionError

    provider = asked(fails(httpx.ReadError("x")))
    manifest: object = None
    assert drive(Sink("x", manifest, careful), MESSAGE, {}, provider, print) == Sent()  # type: ignore[arg-type]
    with pytest.raises(Transient, match="mail.host"):
        drive(Sink("x", manifest, careless), MESSAGE, {}, provider, print)  # type: ignore[arg-type]
