"""Settings come in layers, remember where they came from, and wrong ones are told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.config import ConfigError, check_files, load


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


def test_a_missing_secret_is_named(folder: Path) -> None:
    """A secret that is not there is named by key and file."""
    loaded = load(None, ["kafka.password_file=/nowhere/secret"], environment={}, folder=folder)
    assert [line.split(":")[0] for line in check_files(loaded.settings)] == ["kafka.password_file"]
