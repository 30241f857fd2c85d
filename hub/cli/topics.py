"""`hub topics`: what topics should be there, and making it so."""

from __future__ import annotations

import json
import sys

import click

from hub.cli.main import Environment
from hub.kafka import topics
from hub.kafka.admin import Admin
from hub.kafka.clients import Refused, for_kafka_python, wait_for_broker
from hub.roles.runtime import ENVIRONMENT, topic_plan


def _look(
    environment: Environment,
) -> tuple[topics.Plan, Admin, list[topics.Step], dict[str, list[tuple[str, int]]]]:
    settings = environment.load().settings
    try:
        wait_for_broker(
            settings.kafka,
            lambda seconds, reason: (
                click.echo(f"waiting for Kafka ({reason}, {seconds:.0f} s) ...", err=True) if reason else None
            ),
        )
        plan = topic_plan(settings)
        admin = Admin(for_kafka_python(settings.kafka))
    except (Refused, ValueError) as error:
        click.echo(f"hub topics: {error}", err=True)
        sys.exit(ENVIRONMENT)
    committed = admin.committed(plan.groups)
    return plan, admin, topics.steps(plan, admin.actual(plan.topics), committed), committed


def _tell(todo: list[topics.Step], *, as_json: bool, done: str) -> None:
    if as_json:
        click.echo(json.dumps([step._asdict() for step in todo]))
    elif not todo:
        click.echo("topics: nothing to do")
    else:
        for step in todo:
            click.echo(
                f"{step.action if step.action == 'refuse' else done + step.action:>9}  {step.name}  {step.detail}"
            )


@click.group("topics")
def command() -> None:
    """Plan and make the hub's topics, and give its groups their first offsets."""


@command.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def plan(environment: Environment, as_json: bool) -> None:
    """Show what `apply` would do; exit code 1 when there is something."""
    _, admin, todo, _ = _look(environment)
    admin.close()
    _tell(todo, as_json=as_json, done="")
    sys.exit(1 if todo else 0)


@command.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def apply(environment: Environment, as_json: bool) -> None:
    """Make what is missing; what cannot be done safely is told, and the exit code is 1."""
    wanted, admin, todo, committed = _look(environment)
    try:
        admin.apply(wanted, todo, committed)
    except topics.Busy as error:
        click.echo(f"hub topics: {error}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        admin.close()
    _tell(todo, as_json=as_json, done="")
    sys.exit(1 if any(step.action == "refuse" for step in todo) else 0)


@command.command("accept-loss")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def accept_loss(environment: Environment, yes: bool, as_json: bool) -> None:
    """Let roles go on behind records that were deleted before they were read; says how many, and of what."""
    wanted, admin, _, _ = _look(environment)
    try:
        lost = admin.lost(wanted)
        if as_json:
            click.echo(json.dumps([one._asdict() for one in lost]))
        elif not lost:
            click.echo("topics: nothing was deleted before it was read")
        for one in lost if not as_json else ():
            click.echo(f"{one.group}  {one.topic}/{one.partition}  {one.end - one.first} records, {one.first} on")
        if not lost or (as_json and not yes):
            return
        if not yes:
            click.confirm("They are gone. Go on behind them?", abort=True)
        admin.accept(lost)
    except topics.Busy as error:
        click.echo(f"hub topics: {error}", err=True)
        sys.exit(ENVIRONMENT)
    finally:
        admin.close()
