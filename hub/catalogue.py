"""What is there: connectors, found by a folder scan and turned into values.

Adding a connector edits no file outside its folder; a folder that does not hold together is told
with its path, the key and the remedy, before anything runs.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hub.avro.codec import Schemas
from hub.avro.lock import Locked, key, read
from hub.avro.parse import BrokenSchema, Version, parse
from hub.model.connector import Connector, Feed, Manifest
from hub.model.errors import Rejected
from hub.model.sink import Sink, SinkManifest
from hub.pipeline.decode import DECODERS
from streams.open_data.dataset import BrokenDataset, Dataset, families, not_public
from streams.open_data.dataset import load as load_dataset

ROOT = Path(__file__).resolve().parent.parent
"""Where the packages `connectors`, `streams` and `schemas` lie beside `hub`."""

_M = TypeVar("_M", bound=BaseModel)


class BrokenConnector(Exception):
    """A connector's folder does not hold together; the text says where and what to do."""


@cache
def connectors() -> Mapping[str, Connector]:
    """Load every connector under `connectors/sources/`, by product name."""
    found = {}
    for manifest in sorted(ROOT.glob("connectors/sources/*/*/connector.toml")):
        connector = load(manifest)
        if connector.product in found:
            raise BrokenConnector(f"{manifest}: a product named {connector.product!r} exists; rename the folder")
        found[connector.product] = connector
    return found


@cache
def sinks() -> Mapping[str, Sink]:
    """Load every sink under `connectors/sinks/`, by product name."""
    return {path.parent.name: load_sink(path) for path in sorted(ROOT.glob("connectors/sinks/*/connector.toml"))}


@cache
def schema_files() -> tuple[Version, ...]:
    """Parse every `.avsc` under `schemas/`."""
    return tuple(
        parse(path.relative_to(ROOT).as_posix(), path.read_bytes()) for path in sorted(ROOT.glob("schemas/*/*/*.avsc"))
    )


def schema_lock() -> dict[str, Locked]:
    """Read `schemas/lock.toml`."""
    path = ROOT / "schemas" / "lock.toml"
    return read(path.read_text("utf-8", errors="replace") if path.exists() else "")


@cache
def schemas() -> Schemas:
    """Load the schemas with their ids and models: the codec of the path."""
    lock = schema_lock()
    versions = {}
    models = {}
    for version in schema_files():
        locked = lock.get(key(version))
        if locked is None:
            raise BrokenSchema(f"{version.path}: not in schemas/lock.toml; run `hub schemas lock`")
        versions[locked.id] = version
        module = import_module(f"schemas.models.{version.domain}")
        models[version.full_name] = getattr(module, version.name).from_dict
    return Schemas(versions, models)


def folder(connector: Connector) -> Path:
    """Return the connector's folder."""
    return ROOT / "connectors" / "sources" / connector.domain / connector.product


def good_samples(connector: Connector, feed: Feed) -> Iterator[Any]:
    """Yield the feed's samples that its model takes, decoded."""
    for path in sorted((folder(connector) / "samples" / feed.name).glob("*")):
        if path.name.endswith((".previous.json", ".md")):
            continue
        try:
            document = DECODERS[feed.manifest.content_type](path.read_bytes())
            feed.model.model_validate(document)
        except (Rejected, ValidationError):
            continue
        yield document


def load(path: Path) -> Connector:
    """Load one connector from its manifest; BrokenConnector when something does not fit."""
    domain, product = path.parent.parent.name, path.parent.name
    manifest = _manifest(Manifest, path)
    package = f"connectors.sources.{domain}.{product}"
    models, mappings = import_module(f"{package}.model"), import_module(f"{package}.mapping")
    source = import_module(f"{package}.source")
    return Connector(
        product=product,
        domain=domain,
        manifest=manifest,
        feeds={
            name: Feed(
                name,
                feed,
                _named(models, feed.model, path, f"feeds.{name}.model"),
                _named(mappings, name, path, f"feeds.{name}"),
            )
            for name, feed in manifest.feeds.items()
        },
        poll=getattr(source, "poll", None),
        receive=getattr(source, "receive", None),
        dress=getattr(source, "dress", None),
    )


def load_sink(path: Path) -> Sink:
    """Load one sink from its manifest; BrokenConnector when something does not fit."""
    manifest = _manifest(SinkManifest, path)
    module = import_module(f"connectors.sinks.{path.parent.name}.sink")
    return Sink(
        product=path.parent.name,
        manifest=manifest,
        deliver=_named(module, "deliver", path, "sink.py"),
        receive=getattr(module, "receive", None),
    )


def _manifest(model: type[_M], path: Path) -> _M:
    try:
        return model.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BrokenConnector(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BrokenConnector(f"{path}: {where}: {problem['msg']}; see docs/reference/manifest.md") from None


def _named(module: ModuleType, name: str, path: Path, key: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        raise BrokenConnector(f"{path}: {key}: {module.__name__} has no {name!r}; write it or rename the key")
    return found


@cache
def datasets() -> Mapping[str, Dataset]:
    """Load every dataset under `streams/open_data/datasets/`, by name; `BrokenDataset` when one would tell too much."""
    fields = {
        (version.full_name, field["name"]): field["privacy"]
        for version in schema_files()
        for field in version.schema["fields"]
    }
    found = {}
    for path in sorted(ROOT.glob("streams/open_data/datasets/*/dataset.toml")):
        try:
            manifest = tomllib.loads(path.read_text("utf-8"))
            schema = json.loads((path.parent / "schema.json").read_text("utf-8"))
            dataset = load_dataset(path.parent.name, manifest, schema)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise BrokenDataset(f"{path}: {where}: {problem['msg']}; see docs/reference/datasets.md") from None
        except (ValueError, OSError) as error:
            raise BrokenDataset(f"{path}: cannot be read: {error}") from None
        if problems := not_public(dataset, lambda event, field: fields.get((event, field))):
            raise BrokenDataset(f"{path}: {problems[0]}")
        found[dataset.name] = dataset
    families(found.values())
    return found
