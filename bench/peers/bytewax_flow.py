"""Bytewax: a dataflow from Kafka to Kafka, its progress in a recovery store and not in Kafka."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from job import Job, arguments

bootstrap, source, target, group = arguments()
convert = Job().convert
flow = Dataflow("bench")
stream = op.input(
    "in", flow, KafkaSource([bootstrap], [source], batch_size=2000, add_config={"auto.offset.reset": "earliest"})
)
mapped = op.map("job", stream, lambda message: KafkaSinkMessage(message.key, convert(message.value)))
kop.output(
    "out",
    mapped,
    brokers=[bootstrap],
    topic=target,
    add_config={"acks": "all", "enable.idempotence": "true", "linger.ms": "5", "partitioner": "murmur2_random"},
)
recovery = Path(tempfile.mkdtemp(prefix="bytewax-"))
init_db_dir(recovery, 1)
cli_main(flow, recovery_config=RecoveryConfig(recovery), epoch_interval=timedelta(seconds=1))
