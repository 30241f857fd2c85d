"""The command line tells what it decides, and wrong use in one line."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub import catalogue
from hub.cli.main import main
from hub.model.errors import Transient
from hub.store import Refused, Store


def run(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, arguments)


def test_try_tells_field_by_field() -> None:
    """A sample is decided, and each field of its events is shown."""
    sample = next((catalogue.folder(catalogue.connectors()["hubee"]) / "samples" / "case").glob("birth*.json"))
    result = run("try", "hubee", str(sample))
    assert result.exit_code == 0
    assert "deliver hub.civil_registry.RecordRequested" in result.output
    assert 'place_insee = "2A004"' in result.output


def test_try_takes_a_bare_payload(tmp_path: Path) -> None:
    """A payload as the pack of the vendor holds it is put into an envelope first; what is wrong with it has a name."""
    (tmp_path / "a.xml").write_bytes(b"<InsermDeclarationDeces><Ville>X</Ville></InsermDeclarationDeces>")
    (tmp_path / "b.xml").write_bytes(b"<Autre/>")
    result = run("try", "hubee", "--all", str(tmp_path), "--json")
    assert result.exit_code == 1
    first, second = json.loads(result.output)
    assert first["decisions"][0]["deliver"] == "hub.civil_registry.DeathDeclared"
    assert second["decisions"][0]["quarantine"] == "unsupported"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["try", "nobody", __file__], "no connector 'nobody'"),
        (["try", "hubee"], "no file"),
        (["try", "hubee", "--feed", "x", __file__], "it has case"),
        (["--set", "kafka.size=village", "config", "check"], "kafka.size"),
        (["--env", "nowhere", "config", "show"], "no file"),
    ],
)
def test_wrong_use_is_told_in_one_line(arguments: list[str], words: str) -> None:
    """Exit code 2, and a line with the remedy."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_list_names_every_connector() -> None:
    """With stability and what it says."""
    listed = {row["product"]: row for row in json.loads(run("list", "--json").output)}
    assert set(catalogue.connectors()) == set(listed)
    assert all(row["events"] and row["samples"] for row in listed.values())


def test_list_tells_how_far_each_connector_was_taken() -> None:
    """By what its goldens reach, and by what its mapping has of code."""
    listed = {row["product"]: row for row in json.loads(run("list", "--json").output)}
    assert listed["sip2"]["codes"] == ["invalid", "undecodable", "unmappable", "vendor_error"]
    assert all({"invalid", "undecodable"} <= set(row["codes"]) for row in listed.values())
    assert all(10 <= row["mapping_lines"] <= 300 for row in listed.values())
    shown = [line.split() for line in run("list").output.splitlines()]
    assert shown[0] == ["product", "domain", "stability", "feeds", "events", "mapping", "samples", "codes"]
    told = listed["sip2"]
    assert [*told.values()][:3] == ["sip2", "library", "experimental"]
    assert ["sip2", "library", "experimental", "1", "5", str(told["mapping_lines"]), str(told["samples"]), "4"] in shown


def test_a_token_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    """The file holds no token; a second one of the same name is refused."""
    path = tmp_path / "tokens.toml"
    result = run("--set", f"web.tokens_file={path}", "token", "new", "portal", "--scope", "account:read")
    assert result.exit_code == 0
    assert result.output.strip() not in path.read_text("utf-8")
    assert run("--set", f"web.tokens_file={path}", "token", "new", "portal", "--scope", "account:read").exit_code == 2


def test_a_login_link_is_made_for_a_uuid_only(tmp_path: Path) -> None:
    """A link for one login; anything but a uuid is wrong use."""
    url = f"store.url=sqlite:///{tmp_path}/hub.sqlite"
    result = run("--set", url, "login", "3f0c8a52-3f0e-4c2e-9a55-6c1f6f0f7c11")
    assert "http://127.0.0.1:8080/connexion/" in result.output
    assert run("--set", url, "login", "Jean").exit_code == 2


def test_erasing_says_what_is_gone(tmp_path: Path) -> None:
    """It asks first; of somebody unknown nothing is there to delete."""
    citizen = "3f0c8a52-3f0e-4c2e-9a55-6c1f6f0f7c11"
    url = f"store.url=sqlite:///{tmp_path}/hub.sqlite"
    link = run("--set", url, "login", citizen).output.strip()
    refused = CliRunner().invoke(main, ["--set", url, "erase", citizen], input="n\n")
    assert refused.exit_code == 1
    assert "links 0, entries 0, mails 0" in run("--set", url, "erase", citizen, "--yes").output
    store = Store(f"sqlite:///{tmp_path}/hub.sqlite")
    assert store.use_login(link.rpartition("/")[2], datetime.now(UTC)) is None
    store.close()


@pytest.mark.parametrize("trouble", [Refused("the database refuses the user"), Transient("database: gone")])
def test_a_database_that_refuses_ends_the_ledger_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Exit code 3, and what is wrong; no balance is told."""

    def refuse(_store: Store) -> None:
        raise trouble

    monkeypatch.setattr("hub.cli.main.wait_for_broker", lambda *_: True)
    monkeypatch.setattr("hub.cli.ledger.read_topics", lambda *_: None)
    monkeypatch.setattr(Store, "stored", refuse)
    (tmp_path / "journal.jsonl").touch()
    url = f"store.url=sqlite:///{tmp_path}/hub.sqlite"
    result = run("--set", url, "ledger", "--journal", str(tmp_path / "journal.jsonl"))
    assert result.exit_code == 3
    assert str(trouble) in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("trouble", [Refused("the database refuses the user"), Transient("database: gone")])
def test_a_database_that_refuses_ends_the_demo_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Exit code 3, and what is wrong."""

    def refuse(*_: object, **__: object) -> int:
        raise trouble

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setattr("hub.cli.demo.stop_requested", threading.Event)
    monkeypatch.setattr("hub.cli.demo._play", refuse)
    result = run("demo", "--once")
    assert result.exit_code == 3
    assert str(trouble) in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_silence_is_kept_and_told(tmp_path: Path) -> None:
    """Nothing more is sent to who died; a reason is asked for."""
    citizen = "3f0c8a52-3f0e-4c2e-9a55-6c1f6f0f7c11"
    url = f"store.url=sqlite:///{tmp_path}/hub.sqlite"
    assert run("--set", url, "silence", citizen).exit_code == 2
    assert "Nothing more is sent." in run("--set", url, "silence", citizen, "--reason", "death").output
    assert run("--set", url, "silence", citizen, "--reason", "death", "--end").exit_code == 2
    store = Store(f"sqlite:///{tmp_path}/hub.sqlite")
    assert store.stops() == {"death": 1}
    assert "sent again" in run("--set", url, "silence", citizen, "--end").output
    assert store.stops() == {}
    store.close()
    again = run("--set", url, "silence", citizen, "--end")
    assert again.exit_code == 1
    assert "nothing was changed" in again.output
