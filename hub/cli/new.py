"""`hub new`: folders that pass the suite at once, to be filled with what a vendor really sends."""

from __future__ import annotations

import difflib
import json
import keyword
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import NoReturn

import click

from hub import catalogue
from hub.avro.parse import Version
from hub.catalogue import ROOT

TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "connector"
STYLES = ("poll", "webhook", "snapshot", "file")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
_OURS = frozenset(("identity", "operations", "models"))
"""Folders of `schemas/` in which no outside system speaks."""


@click.group("new")
def command() -> None:
    """Begin something."""


@command.command()
@click.option("--domain", prompt="Domain (school_catering, transport, …)", help="Folder of schemas and events.")
@click.option("--product", prompt="Product (the vendor's name for it)", help="Folder, topic and key prefix.")
@click.option("--style", prompt="How it speaks", type=click.Choice(STYLES), help="How its records arrive.")
@click.option("--event", help="An event of the domain that says it already; without it, a schema of its own.")
def connector(domain: str, product: str, style: str, event: str | None) -> None:
    """Write a connector with its simulator, samples, goldens and, without --event, a schema; then fill it.

    It works in a checkout of the hub, and writes nothing outside of the new folder but a schema and its model.
    """
    if not (ROOT / "pyproject.toml").exists():
        _refuse("needs a checkout of the hub, not an installed package")
    _check_name("domain", domain)
    _check_name("product", product)
    versions = {version.name: version for version in catalogue.schema_files() if version.domain == domain}
    _check_domain(domain)
    if product in catalogue.connectors():
        _refuse(f"there is a connector {product!r}; choose another name")
    folder = ROOT / "connectors" / "sources" / domain / product
    here = folder.relative_to(ROOT).as_posix()
    if any(path.is_file() for path in folder.glob("*")):
        _refuse(f"{here} holds files and no connector.toml; remove it, or choose another name")
    if event is not None and event not in versions:
        _refuse(f"no event {event!r} in {domain}; {_one_of(versions)}")
    if event is None and (own := _own_event(product)) in versions:
        _refuse(f"there is an event {own} in {domain}; take it by --event {own}, or choose another name")

    for name, text in _files(domain, product, style, versions[event] if event is not None else None).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    if not (folder.parent / "__init__.py").exists():
        (folder.parent / "__init__.py").write_text(f'"""Sources of the domain {domain}."""\n', "utf-8")
    if event is None:
        schema = ROOT / "schemas" / domain / _own_event(product) / "v1.avsc"
        schema.parent.mkdir(parents=True, exist_ok=True)
        schema.write_text(_schema(domain, product), "utf-8")
        _run("hub.cli", "schemas", "generate")
        _run("hub.cli", "schemas", "lock")
    _run("hub.testing.samples", product)
    # Lines are as long as the names in them; without ruff they stay as they are.
    for tidy in (["check", "--fix"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *tidy, "--quiet", "--no-cache", str(folder)]
        subprocess.run(ruff, cwd=ROOT, capture_output=True, check=False)

    first = next((folder / "samples" / "things").glob("first.*"))
    click.echo(f"{here} was written, and passes the suite as it is.")
    if event is None:
        click.echo(
            f"{schema.relative_to(ROOT).as_posix()} was written: say in it what happened. Until it is committed it"
        )
        click.echo(
            "  may change: take its entry out of schemas/lock.toml, then `hub schemas lock` and `hub schemas generate`."
        )
    if not versions:
        click.echo(f"The domain {domain} is new: `hub topics apply` makes event.{domain}.v1.")
    click.echo("Next, put what the vendor really sends in the place of its things, and look at what is made of it:")
    click.echo(f"  .venv/bin/hub try {product} {first.relative_to(ROOT).as_posix()}")
    click.echo(f"  .venv/bin/python -m hub.testing.samples {product}")
    click.echo(f"  .venv/bin/python -m pytest -q tests/conformance -k {product}")
    click.echo("docs/guide/first-connector.md goes this way with a real format.")


def _refuse(why: str) -> NoReturn:
    click.echo(f"hub new: {why}", err=True)
    sys.exit(2)


def _check_name(what: str, name: str) -> None:
    if _NAME.fullmatch(name) and not keyword.iskeyword(name):
        return
    likely = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    remedy = f"; {likely}, perhaps" if _NAME.fullmatch(likely) and not keyword.iskeyword(likely) else ""
    _refuse(
        f"the {what} {name!r} becomes a Python package: 2 to 40 lower-case letters, digits and _, a letter first{remedy}"
    )


def _check_domain(domain: str) -> None:
    """Refuse the hub's own, and what is a known one mistyped: a domain is a topic, and for ever."""
    known = sorted({version.domain for version in catalogue.schema_files()} - _OURS)
    if domain in _OURS:
        _refuse(f"{domain!r} is the hub's own; {_one_of(known)}")
    if domain not in known and (meant := difflib.get_close_matches(domain, known, n=1, cutoff=0.8)):
        _refuse(f"no domain {domain!r}; {meant[0]}, perhaps? A new domain needs a name that differs more")


def _one_of(names: Iterable[str]) -> str:
    listed = ", ".join(sorted(names))
    return f"there are {listed}" if listed else "there is none"


def _run(*module: str) -> None:
    # Another process: this one has looked at the schemas already.
    done = subprocess.run([sys.executable, "-m", *module], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip()[-500:]
        click.echo(f"hub new: python -m {' '.join(module)}: {reason}", err=True)
        click.echo("hub new: the files stay; mend that and run it again, or remove them", err=True)
        sys.exit(1)


def _own_event(product: str) -> str:
    return "".join(part.capitalize() for part in product.split("_")) + "Changed"


def _payload(event: Version, thing: str) -> str:
    """Construct an event that exists: the thing's name in its first field that takes any text, the rest by default."""
    texts = [field["name"] for field in event.schema["fields"] if field["type"] == "string" and "pattern" not in field]
    return f"{event.name}({texts[0]}={thing})" if texts else f"{event.name}()"


def _files(domain: str, product: str, style: str, event: Version | None) -> dict[str, str]:
    """Return the files of the folder, goldens apart."""
    memory = style != "webhook"
    thing, state = ("name", "current[name]") if memory else ("thing.id", "thing.state")
    own = _own_event(product)
    values = {
        "domain": domain,
        "product": product,
        "style": style,
        "title": product.replace("_", " ").capitalize(),
        "event": event.name if event is not None else own,
        "payload": _payload(event, thing) if event is not None else f"{own}(thing={thing}, state={state})",
        "content_type": "text/csv" if style == "file" else "application/json",
        "key_is": f"the constant `{product}:things`" if style == "snapshot" else f"`{product}:<id of the thing>`",
        "memory": "memory = true" if memory else 'identity = ["message"]',
        # What says everything is superseded by the next; what is said once must be put right in its order.
        "on_reject": f'on_reject = "{"skip" if memory else "park"}"',
        "credentials": '\n[credentials]\nhook = "hmac"\n' if style == "webhook" else "",
    }
    texts = {
        "__init__.py": "__init__.py",
        "connector.toml": "connector.toml",
        "model.py": "model.file.py" if style == "file" else "model.py",
        "mapping.py": f"mapping.{'memory' if memory else 'stateless'}.py",
        "source.py": f"source.{style}.py",
        "simulator.py": f"simulator.{style}.py",
    }
    found = {
        name: Template((TEMPLATES / f"{template}.txt").read_text("utf-8")).substitute(values)
        for name, template in texts.items()
    }
    return {**found, **_samples(style)}


def _samples(style: str) -> dict[str, str]:
    if style == "file":
        return {
            "samples/things/first.csv": "id;state\r\n1;new\r\n2;done\r\n",
            "samples/things/invalid_no_state.csv": "id\r\n1\r\n",
            "samples/things/undecodable_page.csv": "<html><body>503</body></html>\n",
        }
    head = {"message": "m-1"} if style == "webhook" else {}

    def written(things: object) -> str:
        return json.dumps({**head, "things": things}, indent=1) + "\n"

    return {
        "samples/things/first.json": written([{"id": "1", "state": "new"}]),
        "samples/things/invalid_no_state.json": written([{"id": "1"}]),
        "samples/things/undecodable_cut.json": written([{"id": "1", "state": "new"}])[:-9],
    }


def _schema(domain: str, product: str) -> str:
    def field(name: str, text: str, length: int) -> Mapping[str, object]:
        return {"name": name, "type": "string", "doc": text, "privacy": "direct", "maxLength": length, "default": ""}

    schema = {
        "type": "record",
        "name": _own_event(product),
        "namespace": f"hub.{domain}",
        "doc": f"A thing of {product} is in another state; write here what that means.",
        "domain": domain,
        "audience": "person",
        "fields": [
            field("thing", "The vendor's id; the subject without its prefix.", 100),
            field("state", "Its state.", 40),
        ],
    }
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
