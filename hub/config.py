"""Settings in layers, each value remembering where it came from.

    defaults here < deploy/config/base.toml < deploy/config/<env>.toml (or a path)
    < HUB__KAFKA__BOOTSTRAP < --set kafka.bootstrap=…

Unknown keys and unknown `HUB__` variables are errors; secrets are only ever names of files.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import time
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hub.calendar import CutOff
from hub.catalogue import ROOT, datasets
from hub.model.connector import Connector
from hub.model.sink import Sink as SinkConnector

PREFIX = "HUB__"
CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
ROLES = ("intake", "normalise", "identify", "project", "deliver", "web")


class ConfigError(Exception):
    """Wrong configuration, told in one line: key, where it was set, remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Kafka(_Section):
    """Where Kafka is and how to get in."""

    bootstrap: str = "127.0.0.1:9092"
    """Brokers, `host:port`, separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """`SASL_SSL`: TLS and SCRAM-SHA-512."""
    username: str | None = None
    """SCRAM user."""
    password_file: Path | None = None
    """File with the SCRAM password."""
    ca_file: Path | None = None
    """PEM certificates to trust; empty: the system's."""
    size: Literal["demo", "town", "metropolis"] = "demo"
    """Partitions of the keyed topics: 4, 12 or 48; never changed afterwards."""
    replication: int = Field(default=1, ge=1)
    """Copies of each topic; 3 in a city."""


class Store(_Section):
    """The database."""

    url: str = "sqlite:///.hub/data/hub.sqlite"
    """SQLAlchemy URL, SQLite or PostgreSQL; a password belongs into `password_file`."""
    password_file: Path | None = None
    """File with the database password."""

    @field_validator("url")
    @classmethod
    def _without_password(cls, value: str) -> str:
        try:
            secret = urlsplit(value).password
        except ValueError:
            raise ValueError("not a URL; write sqlite:///path or postgresql+psycopg://user@host/name") from None
        if secret is not None:
            raise ValueError("holds a password; write it into a file and name that as store.password_file")
        return value


class Blobs(_Section):
    """What is too large for Kafka: large attachments, and records that are set aside as `too_large`."""

    folder: Path = Path(".hub/data/blobs")
    """Files named by their SHA-256; machines that run intake share it. They are as personal as raw records."""
    days: int = Field(default=90, ge=7)
    """How long each is kept after it was last said; a raw record that names it lives 7 days."""


class Web(_Section):
    """The web role."""

    host: str = "127.0.0.1"
    """Address to listen on; loopback unless told otherwise."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on."""
    public_url: str = "http://127.0.0.1:8080"
    """How the outside reaches it; decides links and cookies."""
    tokens_file: Path = Path(".hub/data/tokens.toml")
    """SHA-256 hashes of API tokens with their scopes; `hub token new` adds one."""


class Canteen(_Section):
    """The city's rule for changing a meal, which the account and the messages tell."""

    cut_off_days: int | None = Field(default=None, ge=0, le=30)
    """School days before a meal until which it can be changed, 0: on the same day; empty: nothing is said about it."""
    cut_off_time: time = time(10, 0)
    """Time of that day, in Europe/Paris."""
    school_zone: Literal["A", "B", "C"] = "A"
    """Zone of school holidays."""

    def cut_off(self) -> CutOff | None:
        """Return the rule, or None where the city has not said it."""
        return None if self.cut_off_days is None else CutOff(self.cut_off_days, self.cut_off_time, self.school_zone)


class Provider(_Section):
    """An OpenID Connect provider by which residents sign in."""

    kind: Literal["publik", "franceconnect"]
    """`publik`: its `sub` is the account's uuid; `franceconnect`: its `sub` is attached to an account once."""
    issuer: str = Field(pattern="^https?://")
    """The provider's issuer, as its discovery document says it."""
    client_id: str
    """What the provider calls the hub."""
    client_secret_file: Path
    """File with the client's secret."""


class Telemetry(_Section):
    """Metrics and logs."""

    host: str = "127.0.0.1"
    """Address of each role's /metrics, /healthz and /readyz."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port of this role's; 0: a free one, which `hub run` writes into the discovery file."""
    discovery_file: Path = Path(".hub/run/prometheus.json")
    """Prometheus file-based discovery list of the running roles."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""


class Mail(_Section):
    """The mail server."""

    host: str = ""
    """SMTP server; empty: no mail is sent, rows wait."""
    port: int = Field(default=25, ge=1, le=65535)
    """Its port."""
    sender: str = "ne-pas-repondre@grenoble.example"
    """Sender's address."""
    username: str | None = None
    """User, if the server asks for one."""
    password_file: Path | None = None
    """File with its password."""
    starttls: bool = False
    """Whether to ask for TLS."""
    receipts_secret_file: Path | None = None
    """File with the bearer token of calls to `/receipts/mail`, by which the server hands over what it sends back."""


class Threshold(_Section):
    """A city's own least count for a dataset."""

    least: int = Field(ge=1)
    """Least count that a cell may tell."""
    reason: str = Field(min_length=10)
    """Why it is not the manifest's."""


class Portal(_Section):
    """A portal that open data is published to."""

    url: str = ""
    """Where it is, `https://data.example.org`; empty: nothing is published there."""
    token_file: Path | None = None
    """File with the API token."""
    organisation: str = ""
    """Id of the city's organisation there."""


class Notifications(_Section):
    """When the city writes to people, and when it does not."""

    quiet_from: str = Field(default="21:00", pattern=CLOCK)
    """From then on nothing goes out that is not urgent, local time."""
    quiet_until: str = Field(default="07:00", pattern=CLOCK)
    """Until then; the same as `quiet_from`: there are no quiet hours."""
    cap: int = Field(default=10, ge=0)
    """Notices of one day that reach a person at once; what is more comes with the digest. 0: no cap."""
    digest_at: str = Field(default="18:00", pattern=CLOCK)
    """When the daily digest goes out to who asked for it."""
    working_days: bool = True
    """Whether reminders that can wait for a working day do."""
    stop_bounced: bool = True
    """Whether nothing more goes to an address that its provider calls dead, until its owner names another."""
    unsubscribe_secret_file: Path | None = None
    """File with the secret that seals links for ending messages by one click; empty: no such links."""


class OpenData(_Section):
    """Open-data files."""

    folder: Path = Path(".hub/data/opendata")
    """Where they are published; the web role serves it at `/donnees/`."""
    supplied: Path = Path(".hub/data/supplied")
    """Where the city leaves what no event tells: `prenoms.csv`, `menus.csv`, `equipements.csv`."""
    seconds: float = Field(default=30.0, gt=0)
    """Pause between two looks at what changed."""
    publisher: str = "Ville de Grenoble"
    """Who publishes."""
    siret: str = Field(default="21380185500015", pattern="^[0-9]{14}$")
    """SIRET of who publishes."""
    commune: str = "Grenoble"
    """Name of the commune."""
    insee: str = Field(default="38185", pattern="^[0-9][0-9AB][0-9]{3}$")
    """INSEE code of the commune."""
    warehouse: str = Field(default="38185-GRE", pattern="^[0-9A-Z-]+$")
    """Folder of the city in the warehouse of files."""
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    """The city's own thresholds, by dataset."""
    ckan: Portal = Portal()
    """A portal of CKAN 2.10 or later."""
    udata: Portal = Portal()
    """A portal of udata: data.gouv.fr."""


class Workers(_Section):
    """This machine's place among the workers."""

    slot: str = "1"
    """Stable name of the worker slot: a restarted process takes up its partitions at once."""


class Credential(_Section):
    """How the hub shows who it is at a vendor."""

    kind: Literal["oauth2", "basic", "bearer", "signed_query", "jwt"]
    """OAuth2 client credentials, a name and a password (HTTP Basic, or the login of what is not HTTP), a fixed token,
    Publik's signature of the query, or a token that is signed for each request."""
    secret_file: Path
    """File with the secret."""
    client_id: str = ""
    """Client id, user name, `orig` of a signed query, or issuer of a signed token."""
    token_url: str = ""
    """Token endpoint, absolute."""
    scope: str = ""
    """OAuth2 scope."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {
            "oauth2": ("client_id", "token_url"),
            "basic": ("client_id",),
            "bearer": (),
            "signed_query": ("client_id",),
            "jwt": ("client_id",),
        }[self.kind]
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(f"{self.kind} needs {' and '.join(missing)}; add it")
        return self


class Source(_Section):
    """One connector as this city uses it."""

    enabled: bool = True
    """Whether it is polled and listened to."""
    base_url: str = ""
    """Where the vendor is, `tcp://host:port` for what is not HTTP; empty for what is only listened to."""
    poll_seconds: float | None = Field(default=None, gt=0)
    """Pause between polls; empty: what the manifest says."""
    rate_per_second: float | None = Field(default=None, gt=0)
    """Most requests per second; empty: what the manifest says."""
    settings: dict[str, str] = Field(default_factory=dict)
    """What the manifest asks for."""
    credentials: dict[str, Credential] = Field(default_factory=dict)
    """Credentials by the manifest's names."""
    hook_secret_file: Path | None = None
    """File with the secret that signs incoming calls."""


class Sink(_Section):
    """One connector that takes what the hub has to say, as this city uses it; mail by SMTP is set in `mail`."""

    enabled: bool = True
    """Whether anything is handed to it."""
    base_url: str
    """Where it is."""
    channels: tuple[str, ...] = ()
    """Channels of the outbox that it takes; empty: all that its manifest names."""
    rate_per_second: float | None = Field(default=None, gt=0)
    """Most messages per second; empty: what the manifest says."""
    settings: dict[str, str] = Field(default_factory=dict)
    """What the manifest asks for."""
    credentials: dict[str, Credential] = Field(default_factory=dict)
    """Credentials by the manifest's names."""
    secret_file: Path | None = None
    """File with the secret that signs what goes out."""
    receipts_secret_file: Path | None = None
    """File with the bearer token of its calls to `/receipts/<product>`."""


class Settings(_Section):
    """Everything that can be set."""

    data_dir: Path = Path(".hub/data")
    """Where the hub keeps what is not in Kafka or SQL."""
    kafka: Kafka = Kafka()
    """Kafka."""
    store: Store = Store()
    """Database."""
    blobs: Blobs = Blobs()
    """What is too large for Kafka."""
    web: Web = Web()
    """Web role."""
    canteen: Canteen = Canteen()
    """The canteen."""
    sign_in: dict[str, Provider] = Field(default_factory=dict)
    """Providers by which residents sign in, by names of your choice; the link that works once works beside them."""
    telemetry: Telemetry = Telemetry()
    """Metrics and logs."""
    mail: Mail = Mail()
    """Mail server."""
    notifications: Notifications = Notifications()
    """Notifications."""
    open_data: OpenData = OpenData()
    """Open data."""
    workers: Workers = Workers()
    """Worker slots."""
    connectors: dict[str, Source] = Field(default_factory=dict)
    """Sources by product."""
    sinks: dict[str, Sink] = Field(default_factory=dict)
    """Sinks by product."""


class Loaded:
    """Settings with the origin of every value that was set."""

    def __init__(self, settings: Settings, origins: Mapping[str, str]) -> None:
        """`origins` by dotted key; what is not in it is a default."""
        self.settings = settings
        self.origins = origins


def load(
    env: str | None = None,
    sets: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Loaded:
    """Read all layers; `env` names a file in `folder` or is a path to a `.toml`; raise `ConfigError`."""
    folder = folder or ROOT / "deploy" / "config"
    environment = os.environ if environment is None else environment
    env = env or environment.get("HUB_ENV")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    files = [folder / "base.toml"]
    if env is not None:
        chosen = Path(env) if env.endswith(".toml") else folder / f"{env}.toml"
        if not chosen.exists():
            raise ConfigError(f"--env {env}: no file {chosen}; create it or name another")
        files.append(chosen)
    for path in files:
        if path.exists():
            _merge(values, _toml(path), str(path), origins)
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX):
            _put(values, [part.lower() for part in name[len(PREFIX) :].split("__")], value, name, origins)
    for item in sets:
        key, separator, value = item.partition("=")
        if not separator:
            raise ConfigError(f"--set {item}: not key=value; write --set kafka.bootstrap=host:port")
        _put(values, key.split("."), value, f"--set {key}", origins)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{key}: {_remedy(problem)} (set in {_origin(key, origins)})") from None
    return Loaded(settings, origins)


def check_files(settings: Settings) -> list[str]:
    """Return what is missing of the files and datasets that the settings name, one line each."""
    problems = []
    for key, value in leaves(settings.model_dump()):
        # The discovery list and the tokens are written by the hub itself.
        own = key in ("telemetry.discovery_file", "web.tokens_file")
        if key.endswith("_file") and value is not None and not own and not Path(value).is_file():
            content = "certificates" if key.endswith("ca_file") else "secret"
            problems.append(f"{key}: no file {value}; write the {content} into it, readable by the hub alone")
    unknown = sorted(settings.open_data.thresholds.keys() - datasets().keys())
    problems.extend(f"open_data.thresholds.{name}: no such dataset; see docs/reference/datasets.md" for name in unknown)
    return problems


def check_connectors(loaded: Loaded, connectors: Mapping[str, Connector]) -> list[str]:
    """Return what does not fit between the settings of connectors and their manifests, one line each."""
    problems = []
    for product, source in loaded.settings.connectors.items():
        key = f"connectors.{product}"
        where = f"(set in {_origin(key, loaded.origins)})"
        if product not in connectors:
            problems.append(f"{key}: no such connector {where}; there are {', '.join(sorted(connectors))}")
        elif source.enabled:
            problems.extend(f"{key}.{problem} {where}" for problem in _misfits(source, connectors[product]))
    return problems


def carriers(settings: Settings, sinks: Mapping[str, SinkConnector]) -> dict[str, list[str]]:
    """Return which sinks take which channel; more than one is a mistake of the settings."""
    found: dict[str, list[str]] = {}
    if settings.mail.host:
        found["mail"] = ["mail"]
    for product, sink in settings.sinks.items():
        if sink.enabled and product in sinks:
            for channel in sink.channels or sinks[product].manifest.carries:
                found.setdefault(channel, []).append(product)
    return found


def check_sinks(loaded: Loaded, sinks: Mapping[str, SinkConnector]) -> list[str]:
    """Return what does not fit between the settings of sinks and their manifests, one line each."""
    problems = []
    for product, sink in loaded.settings.sinks.items():
        key = f"sinks.{product}"
        where = f"(set in {_origin(key, loaded.origins)})"
        if product == "mail":
            problems.append(f"{key}: is set in the section mail {where}; move it there")
        elif product not in sinks:
            problems.append(f"{key}: no such sink {where}; there are {', '.join(sorted(sinks))}")
        elif sink.enabled:
            problems.extend(f"{key}.{problem} {where}" for problem in _sink_misfits(sink, sinks[product]))
    for channel, products in carriers(loaded.settings, sinks).items():
        if len(products) > 1:
            problems.append(
                f"channel {channel}: is taken by {' and '.join(products)}; "
                "name the channels of each in sinks.*.channels, or leave mail.host empty"
            )
    return problems


def _sink_misfits(sink: Sink, connector: SinkConnector) -> list[str]:
    manifest = connector.manifest
    problems = [
        f"channels: {channel} is none of its own; write some of {', '.join(manifest.carries)}"
        for channel in sink.channels
        if channel not in manifest.carries
    ]
    problems += [
        f"settings.{name}: no such setting; see docs/reference/connectors.md"
        for name in sorted(sink.settings.keys() - manifest.settings.keys())
    ]
    problems += [
        f"settings.{name}: is missing; add it: {text[:1].lower()}{text[1:]}"
        for name, text in manifest.settings.items()
        if name not in sink.settings and not text.startswith("optional: ")
    ]
    for name, kind in manifest.credentials.items():
        if kind == "hmac":
            if sink.secret_file is None:
                problems.append("secret_file: is missing, and nothing could be signed; add it")
        elif name in sink.credentials and sink.credentials[name].kind != kind:
            problems.append(f"credentials.{name}.kind: must be {kind!r}; write that")
        elif name == "default" and name not in sink.credentials:
            problems.append(f"credentials.{name}: is missing; add it, of kind {kind!r}")
    problems += [
        f"credentials.{name}: no such credential; see docs/reference/connectors.md"
        for name in sorted(sink.credentials.keys() - manifest.credentials.keys())
    ]
    return problems


def _misfits(source: Source, connector: Connector) -> list[str]:
    manifest = connector.manifest
    problems = [
        f"settings.{name}: no such setting; see docs/reference/connectors.md"
        for name in sorted(source.settings.keys() - manifest.settings.keys())
    ]
    if source.base_url:
        for name, text in manifest.settings.items():
            if name not in source.settings and not text.startswith("optional: "):
                problems.append(f"settings.{name}: is missing; add it: {text[:1].lower()}{text[1:]}")
    for name, credential in source.credentials.items():
        if manifest.credentials.get(name) == "hmac":
            problems.append(f"credentials.{name}: is the secret of incoming calls; name it as hook_secret_file")
        elif name not in manifest.credentials:
            problems.append(f"credentials.{name}: no such credential; see docs/reference/connectors.md")
        elif credential.kind != manifest.credentials[name]:
            problems.append(f"credentials.{name}.kind: must be {manifest.credentials[name]!r}; write that")
    styles = {feed.manifest.style for feed in connector.feeds.values()}
    if "webhook" not in styles and not source.base_url:
        problems.append("base_url: is missing, and nothing else brings records; add it")
    if styles == {"webhook"} and source.hook_secret_file is None:
        problems.append("hook_secret_file: is missing, and nobody could call; add it")
    return problems


def leaves(values: Mapping[str, Any], at: str = "") -> list[tuple[str, Any]]:
    """Flatten settings to dotted keys."""
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        here = f"{at}.{key}" if at else key
        if isinstance(value, dict):
            found.extend(leaves(value, here))
        else:
            found.append((here, value))
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _merge(into: dict[str, Any], what: Mapping[str, Any], origin: str, origins: dict[str, str], at: str = "") -> None:
    for key, value in what.items():
        here = f"{at}.{key}" if at else key
        if isinstance(value, dict):
            below = into.setdefault(key, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{here}: a table in {origin}, a value before; write one of them")
            origins.setdefault(here, origin)
            _merge(below, value, origin, origins, here)
        else:
            into[key] = value
            origins[here] = origin


def _put(into: dict[str, Any], path: Sequence[str], value: str, origin: str, origins: dict[str, str]) -> None:
    for part in path[:-1]:
        below = into.setdefault(part, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{origin}: {part} is a value, not a section; see docs/reference/configuration.md")
        into = below
    into[path[-1]] = value
    origins[".".join(path)] = origin


def _origin(key: str, origins: Mapping[str, str]) -> str:
    found = origins.get(key) or next((where for name, where in origins.items() if name.startswith(f"{key}.")), None)
    if found is None:
        parent = key.rpartition(".")[0]
        found = next((where for name, where in origins.items() if parent and name.startswith(parent)), "defaults")
    return found


def _remedy(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "no such setting; see docs/reference/configuration.md"
    if problem["type"] == "missing":
        return "is missing; add it"
    told = str(problem["msg"]).removeprefix("Value error, ")
    return told[:1].lower() + told[1:]
