"""`publiccode.yml` says what version 0.4 of the standard asks for, and nothing that the project denies."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from hub import __version__
from hub.catalogue import ROOT

CATEGORIES = {"application-development", "data-collection", "email-management", "workflow-management"}
"""Those that are used, out of the standard's list."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "publiccode.yml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_mandatory_keys_are_there(document: dict[str, Any]) -> None:
    """Keys, words and lengths are those of the standard."""
    assert document["publiccodeYmlVersion"] == "0.4"
    assert {"name", "url", "platforms", "categories"} <= document.keys()
    assert set(document["categories"]) <= CATEGORIES
    assert set(document["platforms"]) <= {"linux", "mac", "windows", "web", "ios", "android"}
    assert document["intendedAudience"] == {"countries": ["fr"], "scope": ["local-authorities"]}
    assert document["url"].startswith("https://")
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


def test_every_language_tells_the_same(document: dict[str, Any]) -> None:
    """What one catalogue shows is what the other shows."""
    assert len({len(text["features"]) for text in document["description"].values()}) == 1


def test_what_it_depends_on_says_from_when(document: dict[str, Any]) -> None:
    """The keys are the standard's; the versions of Python are the project's."""
    needed = {item["name"]: item for item in document["dependsOn"]["open"]}
    assert all(item.keys() <= {"name", "versionMin", "versionMax", "version", "optional"} for item in needed.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    least, beyond = project["requires-python"].removeprefix(">=").split(",<")
    assert (needed["Python"]["versionMin"], needed["Python"]["versionMax"]) == (least, f"3.{int(beyond[2:]) - 1}")


def test_it_agrees_with_the_project(document: dict[str, Any]) -> None:
    """Licence and version are said once more, so they are compared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert document["legal"]["license"] == project["license"]
    assert document["softwareVersion"] == __version__
