"""`hub quarantine`: look at what was set aside, correct it, release it, or drop it for good."""

from __future__ import annotations

import getpass
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import catalogue
from hub.cli.main import Environment
from hub.config import Settings
from hub.kafka.clients import for_kafka_python
from hub.kafka.project import to_store
from hub.kafka.workbench import Bench, Order, Workbench
from hub.model.command import Kind
from hub.model.connector import Connector
from hub.model.errors import Code, Transient
from hub.pipeline.parking import Held
from hub.pipeline.rehearse import Rehearsal, refusal, rehearse
from hub.pipeline.shelf import Kept
from hub.roles.database import store_url
from hub.roles.policy import CityPolicy
from hub.roles.runtime import ENVIRONMENT, topic_plan
from hub.store import Refused, Store

ANSWER_SECONDS = 60.0
"""How long the owner of a partition is waited for; a command that was sent is carried out whenever it is back."""
SHOWN = 20
"""Rows of a list that is meant for eyes."""


class Address(click.ParamType):
    """A record's place: partition and origin offset."""

    name = "partition/offset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read `3/1042`."""
        if isinstance(value, tuple):
            return value
        number, slash, offset = str(value).partition("/")
        if not (slash and number.isdecimal() and offset.isdecimal()):
            self.fail(f"{value!r} is not PARTITION/OFFSET as `hub quarantine list` shows it, 3/1042", param, ctx)
        return int(number), int(offset)


@dataclass
class Desk:
    """One product's quarantine, and what is needed to work on it."""

    connector: Connector
    settings: Settings
    bench: Bench

    @property
    def product(self) -> str:
        """Name of the product."""
        return self.connector.product

    def kept(self) -> Iterable[tuple[int, int, Kept]]:
        """Yield partition, origin offset and record of all that is not settled, in order."""
        for number, shelf in sorted(self.bench.shelves.items()):
            for offset, kept in sorted(shelf.kept.items()):
                yield number, offset, kept

    def held(self, number: int) -> Mapping[bytes, Mapping[int, Held]]:
        """Return what waits in a partition, by key and origin offset."""
        shelf = self.bench.shelves.get(number)
        return shelf.waiting() if shelf is not None else {}


@dataclass
class Chosen:
    """Keys of a product that a command concerns, each with all that waits for it."""

    keys: dict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    offsets: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """The records that were asked for by themselves."""

    @property
    def count(self) -> int:
        """Keys, in all partitions."""
        return sum(len(keys) for keys in self.keys.values())


@click.group("quarantine")
def command() -> None:
    """Put a bad record right: list, show, try, edit, release, drop, expire."""


def _desk(environment: Environment, product: str, keeps: Callable[[bytes], bool] = lambda _key: True) -> Desk:
    connector = catalogue.connectors().get(product)
    if connector is None:
        click.echo(f"hub quarantine: no connector {product!r}; there are {', '.join(catalogue.connectors())}", err=True)
        sys.exit(2)
    settings = environment.settings_with_kafka("quarantine")
    return Desk(connector, settings, _workbench(settings, product).read(keeps))


def _workbench(settings: Settings, product: str) -> Workbench:
    return Workbench(for_kafka_python(settings.kafka), product, topic_plan(settings).epoch(product))


def _choose(desk: Desk, code: str | None, key: str | None, at: tuple[int, int] | None, everything: bool) -> Chosen:
    """Find what the options name; end with one line when they name nothing, or more than one thing."""
    if sum(option is not None for option in (code, key, at)) + everything != 1:
        click.echo("hub quarantine: name what is meant by one of --code, --key, --at, --all", err=True)
        sys.exit(2)
    if code is not None and code not in list(Code):
        click.echo(f"hub quarantine: no code {code!r}; there are {', '.join(Code)}", err=True)
        sys.exit(2)
    chosen = Chosen()
    for number, offset, kept in desk.kept():
        if (
            everything
            or (code is not None and kept.code == code)
            or (key is not None and kept.key == key.encode())
            or at == (number, offset)
        ):
            chosen.keys[number].add(kept.key)
            chosen.offsets[number].add(offset)
    if not chosen.keys:
        what = f"code {code}" if code else f"key {key}" if key else f"{at[0]}/{at[1]}" if at else "nothing"
        known = Counter(kept.code for _, _, kept in desk.kept())
        there = ", ".join(f"{count} {name}" for name, count in sorted(known.items())) or "nothing"
        click.echo(
            f"hub quarantine: {desk.product}: {what} does not wait; there is {there}. Nothing was changed.", err=True
        )
        sys.exit(1)
    return chosen


def _rehearse(desk: Desk, chosen: Chosen, *, drop: bool) -> Rehearsal:
    total = Rehearsal()
    for number, keys in chosen.keys.items():
        waiting = {key: held for key, held in desk.held(number).items() if key in keys}
        part = rehearse(
            waiting,
            desk.bench.states.get(number, {}),
            desk.connector,
            catalogue.schemas(),
            drop=chosen.offsets[number] if drop else (),
        )
        total.records += part.records
        total.released += part.released
        total.dropped += part.dropped
        total.superseded += part.superseded
        total.waiting += part.waiting
        total.events += part.events
        total.rejected.update(part.rejected)
    return total


def _preview(desk: Desk, rehearsal: Rehearsal, *, notify: bool) -> dict[str, Any]:
    """Say what will happen, in figures; residents and notices are None where the database is away."""
    residents: int | None = None
    notices: int | None = None if notify else 0
    known: int | None = None
    store = Store(store_url(desk.settings))
    try:
        reach = store.reach(
            [to_store(event) for event in rehearsal.events], CityPolicy(desk.settings), datetime.now(UTC)
        )
        residents, known = len(reach.residents), len(reach.known)
        notices = reach.notices if notify else 0
    except (Transient, Refused):
        pass
    finally:
        store.close()
    return {
        "product": desk.product,
        "records": rehearsal.records,
        "released": rehearsal.released,
        "dropped": rehearsal.dropped,
        "superseded": rehearsal.superseded,
        "waiting": rehearsal.waiting,
        "events": len(rehearsal.events),
        "events_known": known,
        "residents": residents,
        "notifications": notices,
        "rejected": [
            {"code": code, "detail": detail, "fields": fields, "records": count}
            for (code, detail, fields), count in rehearsal.rejected.most_common()
        ],
    }


def _say(preview: Mapping[str, Any]) -> None:
    def figure(value: int | None) -> str:
        return "unknown (the database is away)" if value is None else str(value)

    parts = [f"{preview['released']} of {preview['records']} would be released"]
    named = {"dropped": "dropped", "superseded": "superseded", "waiting": "would wait on"}
    parts.extend(f"{preview[name]} {words}" for name, words in named.items() if preview[name])
    click.echo(f"{preview['product']}: " + ", ".join(parts) + ".")
    click.echo(
        f"Events: {preview['events']} ({figure(preview['events_known'])} of them on accounts already). "
        f"Residents concerned: {figure(preview['residents'])}. Notifications: {figure(preview['notifications'])}."
    )
    for row in preview["rejected"]:
        fields = f" ({row['fields']})" if row["fields"] else ""
        click.echo(f"  {row['records']} still fail: {row['code']}, {row['detail']}{fields}")


def _carry_out(
    desk: Desk, orders: Sequence[Order], preview: Mapping[str, Any], *, why: str, yes: bool, as_json: bool
) -> None:
    """Show the preview, ask, send, wait, and say what became of it."""
    if not as_json:
        _say(preview)
    if not yes:
        if as_json:
            click.echo(json.dumps({"preview": preview}, ensure_ascii=False, indent=1))
            return
        if not sys.stdin.isatty():
            click.echo("hub quarantine: nothing was changed; add --yes to do it", err=True)
            sys.exit(2)
        click.confirm("Do it?", abort=True)
    reports, missing = _workbench(desk.settings, desk.product).send(
        orders, who=getpass.getuser(), why=why, seconds=ANSWER_SECONDS
    )
    total: Counter[str] = Counter()
    for report in reports:
        for name in ("released", "dropped", "superseded", "edited", "events", "waiting"):
            total[name] += report[name]
        total["rejected"] += len(report["rejected"])
    if as_json:
        click.echo(
            json.dumps(
                {"preview": preview, "done": dict(total), "unanswered": missing, "reports": reports},
                ensure_ascii=False,
                indent=1,
            )
        )
    else:
        done = ", ".join(
            f"{total[name]} {name}" for name in ("released", "dropped", "superseded", "edited") if total[name]
        )
        click.echo(
            f"Done: {done or 'nothing waited any more'}; {total['events']} events; {total['waiting']} still wait."
        )
    if missing:
        click.echo(
            f"hub quarantine: {missing} of {len(orders)} commands were sent and not answered in {ANSWER_SECONDS:.0f} s: "
            "is normalise running? They are carried out when it is",
            err=True,
        )
        sys.exit(ENVIRONMENT)
    sys.exit(1 if total["rejected"] else 0)


_PRODUCT = click.argument("product")
_WHY = click.option("--why", required=True, help="Kept with the records: the reason, without personal data.")
_YES = click.option("--yes", is_flag=True, help="Do not ask.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines; without --yes only the preview.")
_CODE = click.option("--code", help="Whatever was set aside with this code, and what waits behind it.")
_KEY = click.option("--key", help="All that waits for one raw key, `chrono:E0001`.")
_AT = click.option("--at", type=Address(), help="One record, PARTITION/OFFSET, and what waits for its key.")


@command.command("list")
@click.argument("product", required=False)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def list_(environment: Environment, product: str | None, as_json: bool) -> None:
    """Group what waits by its cause: how many records, since when, how many subjects, and what waits behind."""
    products = [product] if product is not None else list(catalogue.connectors())
    groups: list[dict[str, Any]] = []
    for name in products:
        desk = _desk(environment, name)
        groups += _groups(desk)
    if as_json:
        click.echo(json.dumps(groups, ensure_ascii=False, indent=1))
        return
    if not groups:
        click.echo("Nothing is in quarantine.")
        return
    table = Table(box=None, pad_edge=False)
    for title, justify in (
        ("product", "left"),
        ("code", "left"),
        ("cause", "left"),
        ("records", "right"),
        ("keys", "right"),
        ("behind", "right"),
        ("oldest", "left"),
        ("first at", "left"),
    ):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for group in groups:
        cause = group["detail"] + (f" ({group['fields']})" if group["fields"] else "")
        table.add_row(
            group["product"],
            group["code"],
            escape(cause),
            str(group["records"]),
            str(group["keys"]),
            str(group["behind"]),
            group["oldest"],
            group["first"],
        )
    Console(soft_wrap=True, highlight=False).print(table)


def _groups(desk: Desk) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    heads: dict[tuple[int, bytes], dict[str, Any]] = {}
    for number, offset, kept in desk.kept():
        original = desk.bench.shelves[number].originals[offset]
        head = heads.get((number, kept.key))
        if kept.code is Code.BEHIND and head is not None:
            head["behind"] += 1
            continue
        # What stands at the head of a key and only waited behind what is settled now goes on with a release.
        cause = (kept.code, original.stage, original.detail, ", ".join(original.fields))
        group = groups.setdefault(
            cause,
            {
                "product": desk.product,
                "code": str(kept.code),
                "stage": original.stage,
                "detail": original.detail,
                "fields": ", ".join(original.fields),
                "meaning": kept.code.meaning,
                "records": 0,
                "subjects": set(),
                "behind": 0,
                "oldest": kept.at,
                "first": f"{number}/{offset}",
            },
        )
        group["records"] += 1
        group["subjects"].add((number, kept.key))
        group["oldest"] = min(group["oldest"], kept.at)
        if kept.parks:
            heads.setdefault((number, kept.key), group)
    for group in groups.values():
        group["keys"] = len(group.pop("subjects"))
        group["oldest"] = datetime.fromtimestamp(group["oldest"] / 1000, UTC).isoformat(timespec="seconds")
    return sorted(groups.values(), key=lambda group: -group["records"])


@command.command()
@_PRODUCT
@_KEY
@_AT
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the records' bytes, readable by you alone: they hold personal data.",
)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def show(
    environment: Environment,
    product: str,
    key: str | None,
    at: tuple[int, int] | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Tell of each record of a key where it stands, why it was set aside, and what today's mapping makes of it."""
    desk = _desk(environment, product)
    chosen = _choose(desk, None, key, at, False)
    rows = []
    for number, keys in chosen.keys.items():
        shelf = desk.bench.shelves[number]
        for waited, held in desk.held(number).items():
            if waited not in keys:
                continue
            for offset, item in held.items():
                if at is not None and at != (number, offset):
                    continue
                alone = rehearse(
                    {waited: {offset: item}}, desk.bench.states.get(number, {}), desk.connector, catalogue.schemas()
                )
                original = shelf.originals[offset]
                today = next(iter(alone.rejected), None)
                rows.append(
                    {
                        "at": f"{number}/{offset}",
                        "feed": item.record.feed,
                        "code": str(item.code),
                        "stage": original.stage,
                        "detail": original.detail,
                        "fields": list(original.fields),
                        "bytes": len(item.record.value or b""),
                        "read_at": _moment(item.record.read_at),
                        "set_aside_at": _moment(shelf.kept[offset].at),
                        "edited": item.edit is not None,
                        "parks": item.parks,
                        "today": f"{today[0]}: {today[1]} ({today[2]})"
                        if today
                        else f"passes, {len(alone.events)} events",
                    }
                )
                if out is not None:
                    _write_bytes(out / f"{product}-{number}-{offset}", item.now.value or b"")
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    for row in rows:
        click.echo(f"{row['at']}  {row['feed']}, {row['bytes']} bytes, read {row['read_at']}")
        fields = f" ({', '.join(row['fields'])})" if row["fields"] else ""  # type: ignore[arg-type]
        click.echo(f"    set aside {row['set_aside_at']}: {row['code']} at {row['stage']}: {row['detail']}{fields}")
        click.echo(f"    today{', with the corrected copy' if row['edited'] else ''}: {row['today']}")
    if out is not None:
        click.echo(f"Bytes are in {out}; delete them when you are done.")


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def _write_bytes(path: Path, value: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(value)


@command.command("try")
@_PRODUCT
@_CODE
@_KEY
@_AT
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def try_(
    environment: Environment,
    product: str,
    code: str | None,
    key: str | None,
    at: tuple[int, int] | None,
    as_json: bool,
) -> None:
    """Try today's mapping on what waits, everything unless less is named; nothing is written anywhere.

    Exit code 1 when something would still be rejected.
    """
    desk = _desk(environment, product)
    if not any(True for _ in desk.kept()):
        click.echo(json.dumps(None) if as_json else f"{product}: nothing is in quarantine.")
        return
    chosen = _choose(desk, code, key, at, code is None and key is None and at is None)
    preview = _preview(desk, _rehearse(desk, chosen, drop=False), notify=False)
    if as_json:
        click.echo(json.dumps(preview, ensure_ascii=False, indent=1))
    else:
        failing = sum(row["records"] for row in preview["rejected"])
        passing = preview["released"] + preview["superseded"]
        click.echo(f"{passing} of {preview['records']} now pass; {failing} fail, {preview['waiting']} would wait.")
        _say(preview)
    sys.exit(1 if preview["rejected"] else 0)


@command.command()
@_PRODUCT
@click.argument("address", type=Address())
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_WHY
@_YES
@_JSON
@click.pass_obj
def edit(
    environment: Environment,
    product: str,
    address: tuple[int, int],
    file: Path,
    why: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Keep FILE as the corrected copy of the record at ADDRESS; the original stays, and a release uses the copy."""
    desk = _desk(environment, product)
    _choose(desk, None, None, address, False)
    number, offset = address
    key = desk.bench.shelves[number].kept[offset].key
    held = desk.held(number)[key][offset]
    value = file.read_bytes()
    state = desk.bench.states.get(number, {}).get(key)
    wrong = refusal(held, desk.connector, catalogue.schemas(), value, state.value if state is not None else None)
    if wrong is not None:
        fields = f" ({', '.join(wrong.fields)})" if wrong.fields else ""
        click.echo(
            f"hub quarantine: {file}: {wrong.code}: {wrong.detail}{fields}. {wrong.code.meaning} Nothing was changed.",
            err=True,
        )
        sys.exit(1)
    alone = rehearse(
        {key: {offset: held._replace(edit=value)}},
        desk.bench.states.get(number, {}),
        desk.connector,
        catalogue.schemas(),
    )
    preview = _preview(desk, alone, notify=False)
    _carry_out(
        desk,
        [Order(number, key, Kind.EDIT, target=offset, value=value)],
        preview,
        why=why,
        yes=yes,
        as_json=as_json,
    )


@command.command()
@_PRODUCT
@_CODE
@_KEY
@_AT
@click.option("--all", "everything", is_flag=True, help="All that waits of the product.")
@click.option("--notify", is_flag=True, help="Tell residents of what comes out; without it nobody is told.")
@_WHY
@_YES
@_JSON
@click.pass_obj
def release(
    environment: Environment,
    product: str,
    code: str | None,
    key: str | None,
    at: tuple[int, int] | None,
    everything: bool,
    notify: bool,
    why: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Process what waits for the named keys, in its order, by today's mapping; stop where it is rejected again.

    Exit code 1 when something was rejected again.
    """
    desk = _desk(environment, product)
    chosen = _choose(desk, code, key, at, everything)
    preview = _preview(desk, _rehearse(desk, chosen, drop=False), notify=notify)
    orders = [
        Order(number, waited, Kind.RELEASE, notify=notify)
        for number, keys in sorted(chosen.keys.items())
        for waited in sorted(keys)
    ]
    _carry_out(desk, orders, preview, why=why, yes=yes, as_json=as_json)


@command.command()
@_PRODUCT
@_CODE
@_KEY
@_AT
@_WHY
@_YES
@_JSON
@click.pass_obj
def drop(
    environment: Environment,
    product: str,
    code: str | None,
    key: str | None,
    at: tuple[int, int] | None,
    why: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Give the named records up for good, and let what waits behind them go on; nobody is notified."""
    desk = _desk(environment, product)
    chosen = _choose(desk, code, key, at, False)
    preview = _preview(desk, _rehearse(desk, chosen, drop=True), notify=False)
    _carry_out(desk, _drops(desk, chosen), preview, why=why, yes=yes, as_json=as_json)


def _drops(desk: Desk, chosen: Chosen) -> list[Order]:
    orders = []
    for number, keys in sorted(chosen.keys.items()):
        kept = desk.bench.shelves[number].kept
        for key in sorted(keys):
            given_up = tuple(sorted(offset for offset in chosen.offsets[number] if kept[offset].key == key))
            orders.append(Order(number, key, Kind.RELEASE, drop=given_up))
    return orders


@command.command()
@_PRODUCT
@click.option(
    "--days", type=click.IntRange(min=1), default=30, show_default=True, help="Age from which it is given up."
)
@_YES
@_JSON
@click.pass_obj
def expire(environment: Environment, product: str, days: int, yes: bool, as_json: bool) -> None:
    """Give up what has waited longer than --days: counted and told, never silently."""
    desk = _desk(environment, product)
    oldest = datetime.now(UTC).timestamp() * 1000 - days * 86_400_000
    chosen = Chosen()
    for number, offset, kept in desk.kept():
        if kept.at < oldest:
            chosen.keys[number].add(kept.key)
            chosen.offsets[number].add(offset)
    if not chosen.keys:
        click.echo(json.dumps(None) if as_json else f"{product}: nothing has waited for {days} days.")
        return
    preview = _preview(desk, _rehearse(desk, chosen, drop=True), notify=False)
    _carry_out(desk, _drops(desk, chosen), preview, why=f"waited for {days} days", yes=yes, as_json=as_json)
