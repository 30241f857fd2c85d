"""`publiccode.yml` says what version 0.4 of the standard asks for, and nothing that the project denies."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from hub import __version__
from hub.catalogue import ROOT


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "publiccode.yml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_mandatory_keys_are_there(document: dict[str, Any]) -> None:
    """Keys, words and lengths are those of the standard."""
    assert document["publiccodeYmlVersion"] == "0.4"
    assert {"name", "url", "platforms", "categories"} <= document.keys()
    assert document["developmentStatus"] in ("concept", "development", "beta", "stable", "obsolete")
    assert document["softwareType"] == "standalone/backend"
    assert document["maintenance"]["type"] == "community"
    assert document["maintenance"]["contacts"][0]["name"]
    assert set(document["localisation"]) == {"localisationReady", "availableLanguages"}


def test_descriptions_are_of_the_asked_length(document: dict[str, Any]) -> None:
    """Catalogues cut or refuse what is longer."""
    for language in document["localisation"]["availableLanguages"]:
        text = document["description"][language]
        assert len(text["shortDescription"]) <= 150
        assert 150 <= len(text["longDescription"]) <= 10_000
        assert all(len(feature) <= 100 for feature in text["features"])


def test_it_agrees_with_the_project(document: dict[str, Any]) -> None:
    """Licence and version are said once more, so they are compared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert document["legal"]["license"] == project["license"]
    assert document["softwareVersion"] == __version__
