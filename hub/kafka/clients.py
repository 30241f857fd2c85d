"""Connection settings for every Kafka client that is used, and the wait for a broker.

A broker that is away is waited for, visibly.  A wrong password is not: but to a client it looks like
a broker that does not answer ("unable to bootstrap"), so the wait begins with a probe that tells them apart.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import aiokafka.errors
import faust
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context

from hub.config import Kafka


class Refused(Exception):
    """The broker answers and does not let us in; the text is the remedy."""


def _password(settings: Kafka) -> str:
    if settings.username is None or settings.password_file is None:
        raise Refused("kafka.username and kafka.password_file: needed for SASL_SSL; set both")
    try:
        return settings.password_file.read_text("utf-8").strip()
    except OSError:
        raise Refused(f"kafka.password_file: cannot read {settings.password_file}") from None


def _context(settings: Kafka) -> ssl.SSLContext:
    if settings.ca_file is None:
        return ssl.create_default_context()
    try:
        context: ssl.SSLContext = create_ssl_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError):
        raise Refused(f"kafka.ca_file: {settings.ca_file} holds no certificate") from None
    return context


def for_aiokafka(settings: Kafka) -> dict[str, Any]:
    """Return options of aiokafka's clients."""
    options: dict[str, Any] = {"bootstrap_servers": settings.bootstrap}
    if settings.security_protocol == "SASL_SSL":
        options |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.username,
            "sasl_plain_password": _password(settings),
            "ssl_context": _context(settings),
        }
    return options


def for_kafka_python(settings: Kafka) -> dict[str, Any]:
    """Return options of kafka-python's clients."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap.split(","),
        # Half a minute else: the last wait between two tries to connect would be as long as the broker was away.
        "reconnect_backoff_max_ms": 1000,
    }
    if settings.security_protocol == "SASL_SSL":
        options |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": settings.username,
            "sasl_plain_password": _password(settings),
        }
        if settings.ca_file is not None:
            options["ssl_cafile"] = str(settings.ca_file)
    return options


def for_faust(settings: Kafka) -> dict[str, Any]:
    """Return options of a Faust app."""
    options: dict[str, Any] = {"broker": [f"kafka://{address}" for address in settings.bootstrap.split(",")]}
    if settings.security_protocol == "SASL_SSL":
        options["broker_credentials"] = faust.SASLCredentials(
            username=settings.username,
            password=_password(settings),
            ssl_context=_context(settings),
            mechanism="SCRAM-SHA-512",
        )
    return options


def wait_for_broker(
    settings: Kafka, waiting: Callable[[float, str], None], stop: threading.Event | None = None
) -> bool:
    """Return once the broker lets us in; tell `waiting` (seconds so far, reason); False when stopped meanwhile.

    Raise `Refused` for what waiting does not mend: credentials, certificates, a name that means nothing.
    """
    started = time.monotonic()
    told = False
    while stop is None or not stop.is_set():
        reason = asyncio.run(_probe(settings))
        if reason is None:
            if told:
                waiting(0.0, "")
            return True
        told = True
        waiting(time.monotonic() - started, reason)
        (stop.wait if stop is not None else time.sleep)(min(0.5 + (time.monotonic() - started) / 4, 5.0))
    return False


async def _probe(settings: Kafka) -> str | None:
    options = for_aiokafka(settings)
    reachable = False
    for address in settings.bootstrap.split(","):
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise Refused(f"kafka.bootstrap: {address!r} is not host:port")
        try:
            socket.create_connection((host, int(port)), 3).close()
        except OSError:
            continue
        reachable = True
    if not reachable:
        return "no broker answers"
    admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **options)
    try:
        await admin.start()
        await admin.list_topics()
    except aiokafka.errors.KafkaError as error:
        # The port is open. With SASL that is almost always the password or the certificate; a broker
        # that only just starts says so within the second look.
        if settings.security_protocol == "SASL_SSL":
            await asyncio.sleep(1.5)
            second = AIOKafkaAdminClient(request_timeout_ms=10_000, **options)
            try:
                await second.start()
            except aiokafka.errors.KafkaError:
                raise Refused(
                    "kafka: the broker refuses the login; check kafka.username, kafka.password_file and kafka.ca_file"
                ) from None
            finally:
                await second.close()
            return None
        return type(error).__name__
    finally:
        await admin.close()
    return None
