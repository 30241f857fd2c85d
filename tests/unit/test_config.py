"""Settings come in layers, remember where they came from, and wrong ones are told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub import catalogue
from hub.config import ConfigError, Loaded, Settings, check_connectors, check_files, check_sinks, load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with two layers."""
    (tmp_path / "base.toml").write_text('[kafka]\nbootstrap = "a:1"\nsize = "town"\n', "utf-8")
    (tmp_path / "city.toml").write_text('[kafka]\nbootstrap = "b:2"\n', "utf-8")
    return tmp_path


def test_later_layers_win_and_are_remembered(folder: Path) -> None:
    """File, environment file, variable, option: the last that says something is believed."""
    loaded = load("city", ["web.port=9"], environment={"HUB__KAFKA__BOOTSTRAP": "c:3"}, folder=folder)
    assert (
        loaded.settings.kafka.bootstrap,
        loaded.settings.kafka.size,
        loaded.settings.web.port,
    ) == ("c:3", "town", 9)
    assert ("HUB__KAFKA__BOOTSTRAP", str(folder / "base.toml"), "--set web.port") == tuple(
        loaded.origins[key] for key in ("kafka.bootstrap", "kafka.size", "web.port")
    )


@pytest.mark.parametrize(
    ("env", "sets", "environment", "words"),
    [
        (None, ["kafka.botstrap=x"], {}, ["kafka.botstrap", "--set kafka.botstrap", "no such setting"]),
        (None, [], {"HUB__WEB__PRT": "1"}, ["web.prt", "HUB__WEB__PRT", "no such setting"]),
        (None, ["web.port=high"], {}, ["web.port", "integer"]),
        (None, ["kafka"], {}, ["not key=value"]),
        ("nowhere", [], {}, ["nowhere.toml", "create it"]),
        (None, ["store.url=postgresql://hub:geheim@host/hub"], {}, ["store.url", "store.password_file"]),
        (None, [], {"HUB__KAFKA": "x"}, ["kafka", "HUB__KAFKA", "dictionary"]),
        (None, ["kafka.bootstrap.port=1"], {}, ["--set kafka.bootstrap.port", "bootstrap is a value"]),
        (
            None,
            ["connectors.hubee.credentials.a.kind=oauth2", "connectors.hubee.credentials.a.secret_file=s"],
            {},
            ["connectors.hubee.credentials.a", "client_id and token_url", "add it"],
        ),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    folder: Path, env: str | None, sets: list[str], environment: dict[str, str], words: list[str]
) -> None:
    """Key, origin and remedy, on one line."""
    with pytest.raises(ConfigError) as caught:
        load(env, sets, environment=environment, folder=folder)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words)
    assert "geheim" not in str(caught.value)


def test_a_missing_secret_is_named(folder: Path) -> None:
    """A secret that is not there is named by key and file."""
    loaded = load(None, ["kafka.password_file=/nowhere/secret"], environment={}, folder=folder)
    assert [line.split(":")[0] for line in check_files(loaded.settings)] == ["kafka.password_file"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[connectors.nobody]", ["connectors.nobody: no such connector", "hubee"]),
        ('[connectors.hubee]\nbase_url = "http://a"', ["connectors.hubee.settings.procedures: is missing"]),
        ('[connectors.hubee]\n[connectors.hubee.settings]\nspeed = "1"', ["settings.speed: no such setting"]),
        ('[connectors.ils_di]\nbase_url = ""', ["connectors.ils_di.base_url: is missing"]),
        ("[connectors.publik]", ["connectors.publik.hook_secret_file: is missing"]),
        (
            '[connectors.chrono]\n[connectors.chrono.credentials.default]\nkind = "bearer"\nsecret_file = "s"',
            ["connectors.chrono.credentials.default.kind: must be 'basic'"],
        ),
    ],
)
def test_what_does_not_fit_a_connector_is_told_with_its_file(folder: Path, text: str, words: list[str]) -> None:
    """Key, file and remedy, on one line."""
    path = folder / "misfit.toml"
    path.write_text(text, "utf-8")
    problems = check_connectors(load("misfit", environment={}, folder=folder), catalogue.connectors())
    assert problems
    assert "\n" not in problems[0]
    assert all(word in problems[0] for word in words)
    assert str(path) in problems[0]


def test_a_switched_off_connector_needs_nothing(folder: Path) -> None:
    """What is not used is not asked for."""
    loaded = load(None, ["connectors.hubee.enabled=false"], environment={}, folder=folder)
    assert check_connectors(loaded, catalogue.connectors()) == []


def test_the_example_of_a_city_fits() -> None:
    """What is shown to copy is read and fits the connectors."""
    loaded = load("city.example", environment={})
    assert check_connectors(loaded, catalogue.connectors()) == []


@pytest.mark.parametrize(
    ("sinks", "told"),
    [
        ({"fax": {"base_url": "x"}}, "sinks.fax: no such sink"),
        ({"mail": {"base_url": "x"}}, "sinks.mail: is set in the section mail"),
        ({"sms": {"base_url": "x", "channels": ["mail"]}}, "sinks.sms.channels: mail is none of its own"),
        ({"sms": {"base_url": "x"}}, "sinks.sms.settings.sender: is missing"),
        ({"sms": {"base_url": "x", "settings": {"sender": "V", "speed": "1"}}}, "sinks.sms.settings.speed: no such"),
        ({"sms": {"base_url": "x", "settings": {"sender": "V"}}}, "sinks.sms.credentials.default: is missing"),
        ({"webhook": {"base_url": "x"}}, "sinks.webhook.secret_file: is missing"),
        (
            {"notify": {"base_url": "x", "settings": {"template_email": "1", "template_sms": "2"}}},
            "channel mail: is taken by mail and notify",
        ),
    ],
)
def test_a_sink_that_does_not_fit_is_told_with_its_remedy(sinks: dict[str, Any], told: str) -> None:
    """One line names the key and what to do."""
    loaded = Loaded(Settings.model_validate({"mail": {"host": "smtp.invalid"}, "sinks": sinks}), {})
    problems = check_sinks(loaded, catalogue.sinks())
    assert any(problem.startswith(told) and ";" in problem for problem in problems), problems


def test_quiet_hours_are_times_of_a_clock() -> None:
    """A wrong one is told by its key."""
    with pytest.raises(ConfigError, match="notifications.quiet_from"):
        load(sets=["notifications.quiet_from=25:00"], environment={}, folder=Path("/nowhere"))
