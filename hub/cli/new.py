"""`hub new`: folders that pass the suite at once, to be filled with what a vendor really sends."""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

import click

from hub import catalogue
from hub.catalogue import ROOT

TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "connector"
STYLES = ("poll", "webhook", "snapshot", "file")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")


@click.group("new")
def command() -> None:
    """Begin something."""


@command.command()
@click.option("--domain", prompt="Domain (school_catering, transport, …)", help="Folder of schemas and events.")
@click.option("--product", prompt="Product (the vendor's name for it)", help="Folder, topic and key prefix.")
@click.option("--style", prompt="How it speaks", type=click.Choice(STYLES), help="How its records arrive.")
def connector(domain: str, product: str, style: str) -> None:
    """Write a connector with its simulator, samples, goldens and a schema; then fill it.

    It works in a checkout of the hub, and writes nothing outside of the new folder but a schema and its model.
    """
    for what, name in (("domain", domain), ("product", product)):
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            click.echo(
                f"hub new: the {what} is lower-case letters, digits and _; it becomes a Python package", err=True
            )
            sys.exit(2)
    if product in catalogue.connectors():
        click.echo(f"hub new: there is a connector {product!r}; choose another name", err=True)
        sys.exit(2)
    if not (ROOT / "pyproject.toml").exists():
        click.echo("hub new: needs a checkout of the hub, not an installed package", err=True)
        sys.exit(2)
    folder = ROOT / "connectors" / "sources" / domain / product
    written = _files(domain, product, style)
    if not (folder.parent / "__init__.py").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / "__init__.py").write_text(f'"""Sources of the domain {domain}."""\n', "utf-8")
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    schema = ROOT / "schemas" / domain / _event(product) / "v1.avsc"
    schema.parent.mkdir(parents=True, exist_ok=True)
    schema.write_text(_schema(domain, product), "utf-8")
    # Another process: this one has looked at the schemas already.
    for line in (["hub.cli", "schemas", "generate"], ["hub.cli", "schemas", "lock"], ["hub.testing.samples", product]):
        done = subprocess.run([sys.executable, "-m", *line], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            click.echo(f"hub new: {' '.join(line)}: {(done.stderr or done.stdout).strip()[-500:]}", err=True)
            sys.exit(1)
    # Lines are as long as the names in them; without ruff they stay as they are.
    for tidy in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *tidy, str(folder)], cwd=ROOT, capture_output=True, check=False)
    here = folder.relative_to(ROOT).as_posix()
    click.echo(f"{here} and {schema.relative_to(ROOT).as_posix()} were written.")
    click.echo(f"Next: put what the vendor really sends into {here}/samples/things, then model.py and mapping.py;")
    click.echo(f"  hub try {product} FILE; python -m pytest tests/conformance -k {product}")


def _event(product: str) -> str:
    return "".join(part.capitalize() for part in product.split("_")) + "Changed"


def _files(domain: str, product: str, style: str) -> dict[str, str]:
    """Return the files of the folder, goldens apart."""
    memory = style != "webhook"
    values = {
        "domain": domain,
        "product": product,
        "style": style,
        "title": product.replace("_", " ").capitalize(),
        "event": _event(product),
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
        "name": _event(product),
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
