"""Disruptions as feeds: GTFS-Realtime alerts, and situations of SIRI SX 2.1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from google.transit import gtfs_realtime_pb2

from streams.open_data.rows import instant

Payloads = Mapping[str, Mapping[str, Any]]
NETWORK = "SEM"
"""Agency of a disruption that names no line: it concerns the city's network."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gtfs_rt(disruptions: Payloads, at: datetime) -> bytes:
    """Write a feed of alerts, FULL_DATASET."""
    message = gtfs_realtime_pb2.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.header.incrementality = gtfs_realtime_pb2.FeedHeader.FULL_DATASET
    message.header.timestamp = int(at.timestamp())
    for payload in disruptions.values():
        entity = message.entity.add()
        entity.id = payload["disruption_id"]
        alert = entity.alert
        period = alert.active_period.add()
        if payload.get("starts_at"):
            period.start = int(instant(payload["starts_at"]).timestamp())
        if payload.get("ends_at"):
            period.end = int(instant(payload["ends_at"]).timestamp())
        for line in payload.get("lines", ()):
            selector = alert.informed_entity.add()
            selector.agency_id, selector.route_id = line.partition(":")[0], line
        if not alert.informed_entity:
            # The specification asks for at least one.
            alert.informed_entity.add().agency_id = NETWORK
        for target, text in (
            (alert.header_text, payload.get("title")),
            (alert.description_text, payload.get("description")),
            (alert.url, payload.get("url")),
        ):
            if text:
                translation = target.translation.add()
                translation.text, translation.language = text, "fr"
    written: bytes = message.SerializeToString(deterministic=True)
    return written


def siri_sx(disruptions: Payloads, at: datetime, producer: str) -> bytes:
    """Write a delivery of all situations that go on; one that is missing in the next is over."""
    moment = _time(at)
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<Siri xmlns="http://www.siri.org.uk/siri" version="2.1">\n',
        f"<ServiceDelivery><ResponseTimestamp>{moment}</ResponseTimestamp>",
        f"<ProducerRef>{_text(producer)}</ProducerRef>\n",
        f'<SituationExchangeDelivery version="2.1"><ResponseTimestamp>{moment}</ResponseTimestamp><Situations>\n',
    ]
    parts += [_situation(payload, at, producer) for payload in disruptions.values()]
    parts.append("</Situations></SituationExchangeDelivery></ServiceDelivery></Siri>\n")
    return "".join(parts).encode()


def _situation(payload: Mapping[str, Any], at: datetime, producer: str) -> str:
    # The vendor does not say when it was written: its start, where that is known, is the best that there is.
    start = _time(instant(payload["starts_at"]) if payload.get("starts_at") else at)
    end = f"<EndTime>{_time(instant(payload['ends_at']))}</EndTime>" if payload.get("ends_at") else ""
    lines = "".join(
        f"<AffectedLine><LineRef>{_text(line)}</LineRef></AffectedLine>" for line in payload.get("lines", ())
    )
    network = (
        f"<AffectedNetwork>{lines}</AffectedNetwork>"
        if lines
        else f"<AffectedNetwork><AffectedOperator><OperatorRef>{NETWORK}</OperatorRef></AffectedOperator>"
        "</AffectedNetwork>"
    )
    link = (
        f"<InfoLinks><InfoLink><Uri>{_text(payload['url'])}</Uri></InfoLink></InfoLinks>" if payload.get("url") else ""
    )
    french = f"xml:lang={quoteattr('fr')}"
    return (
        f"<PtSituationElement><CreationTime>{start}</CreationTime><ParticipantRef>{_text(producer)}</ParticipantRef>"
        f"<SituationNumber>{_text(payload['disruption_id'])}</SituationNumber>"
        "<Source><SourceType>feed</SourceType></Source><Progress>published</Progress>"
        f"<ValidityPeriod><StartTime>{start}</StartTime>{end}</ValidityPeriod><UndefinedReason/>"
        f"<Summary {french}>{_text(payload.get('title') or '')}</Summary>"
        f"<Description {french}>{_text(payload.get('description') or '')}</Description>"
        f"{link}<Affects><Networks>{network}</Networks></Affects></PtSituationElement>\n"
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("", value))
