"""A real Apache Kafka on this machine: one node, KRaft, on free ports, gone with its parent.

The jars come from `make kafka`.  A node that is started again over its folder keeps its ports while they
are free, so that clients find it again.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from hub.catalogue import ROOT
from hub.process import end, free_port, is_free, listening, spawn

LIBS = ROOT / ".hub" / "kafka" / "libs"
ADMIN = "admin"


class KafkaFailed(Exception):
    """The node did not start; the text says where its log is."""


class Kafka:
    """One node.  `with Kafka(folder) as kafka: kafka.bootstrap`."""

    def __init__(self, folder: Path, *, secure: bool = False, heap: str = "384m", number: int = 1) -> None:
        """`secure`: TLS and SCRAM-SHA-512 with ACLs; certificates and passwords are made in the folder.

        `number` is the node's id among the `peers` that a cluster gives it.
        """
        self.folder = folder.resolve()
        self.secure = secure
        self.number = number
        self.peers: Sequence[Kafka] = (self,)
        self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        self._heap = heap
        self._child: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.controller_port = 0

    @property
    def bootstrap(self) -> str:
        """Return `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def ca_file(self) -> Path:
        """Return the certificate that clients of a secure node trust."""
        return self.folder / "tls" / "ca.pem"

    @property
    def password_file(self) -> Path:
        """Return the file with the first administrator's password."""
        return self.folder / "tls" / "admin.password"

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def start(self, seconds: float = 40.0) -> None:
        """Start the node and wait until it takes requests; raise `KafkaFailed`."""
        if not (LIBS / ".checked").exists():
            raise KafkaFailed("Kafka's jars are missing: run `make kafka`")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.pid is None and len(self.peers) == 1:
            self._take_ports()
        self.prepare()
        self.await_ready(seconds)

    def prepare(self) -> None:
        """Start without waiting: a node of several is ready only when others are there."""
        if self.secure and not self.ca_file.exists():
            _make_certificates(self.folder / "tls")
        self._format()
        (self.folder / "server.properties").write_text(self._properties(), "utf-8")
        (self.folder / "log4j2.properties").write_text(_LOG4J, "utf-8")
        self._spawn()

    def await_ready(self, seconds: float) -> None:
        """Wait until the node takes requests; raise `KafkaFailed`."""
        if not listening(self.port, self._running(), seconds):
            self.kill()
            raise KafkaFailed(f"Kafka did not start; see {self.folder / 'kafka.log'}")
        self._await_metadata(seconds)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise KafkaFailed("not started")
        return self._child

    def _spawn(self) -> None:
        log = self.folder / "kafka.log"
        if log.exists() and log.stat().st_size > 5_000_000:
            log.unlink()
        self._child = spawn(
            [*self._java(), "kafka.Kafka", str(self.folder / "server.properties")],
            log=log,
            environment=_environment(),
            cwd=self.folder,
        )

    def stop(self, seconds: float = 15.0) -> None:
        """Stop in order."""
        if self._child is not None:
            end(self._child, seconds)
            self._child = None

    def kill(self) -> None:
        """Stop as a power cut would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def pause(self) -> None:
        """Freeze the node: connections stay open and nothing is answered."""
        if self._child is not None:
            self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)

    def _java(self) -> list[str]:
        command = ["java", f"-Xmx{self._heap}", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        archive = LIBS / "kafka.jsa"
        if archive.exists():
            command += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        else:
            _archive_in_background()
        return [
            *command,
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            _classpath(),
        ]

    def _take_ports(self) -> None:
        kept = self.folder / "ports.json"
        if kept.exists():
            ports = json.loads(kept.read_text("utf-8"))
            if is_free(ports["broker"]) and is_free(ports["controller"]):
                self.port, self.controller_port = ports["broker"], ports["controller"]
                return
        self.port, self.controller_port = free_port(), free_port()
        kept.write_text(json.dumps({"broker": self.port, "controller": self.controller_port}), "utf-8")

    def _format(self) -> None:
        data = self.folder / "data"
        if (data / "meta.properties").exists():
            return
        data.mkdir(parents=True, exist_ok=True)
        if not self.secure:
            # What StorageTool writes, without a JVM: saves a second.
            directory = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
            (data / "meta.properties").write_text(
                f"version=1\ncluster.id={self.cluster_id}\nnode.id={self.number}\ndirectory.id={directory}\n", "utf-8"
            )
            return
        (self.folder / "server.properties").write_text(self._properties(), "utf-8")
        password = self.password_file.read_text("utf-8").strip()
        subprocess.run(
            [
                "java",
                "-cp",
                _classpath(),
                "kafka.tools.StorageTool",
                "format",
                "--cluster-id",
                self.cluster_id,
                "--config",
                str(self.folder / "server.properties"),
                "--add-scram",
                f"SCRAM-SHA-512=[name={ADMIN},password={password}]",
            ],
            check=True,
            capture_output=True,
            timeout=60,
            env=_environment(),
        )

    def _properties(self) -> str:
        copies = str(min(len(self.peers), 3))
        lines = {
            "process.roles": "broker,controller",
            "node.id": str(self.number),
            "controller.quorum.voters": ",".join(
                f"{node.number}@127.0.0.1:{node.controller_port}" for node in self.peers
            ),
            "unclean.leader.election.enable": "false",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "1",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # A node that was killed may come back at once, not after the default 9 s.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "log.segment.bytes": "67108864",
            "log.index.size.max.bytes": "1048576",
            "log.cleaner.dedupe.buffer.size": "16777216",
            "message.max.bytes": "4194304",
            "replica.fetch.max.bytes": "4194304",
            # A follower's fetch looks at each of hundreds of partitions: not once for every record.
            "replica.fetch.min.bytes": "65536",
            "replica.fetch.wait.max.ms": "20",
        }
        listeners = f"127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}"
        if not self.secure:
            lines |= {
                "listeners": f"PLAINTEXT://{listeners}",
                "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            }
        else:
            tls = self.folder / "tls"
            password = self.password_file.read_text("utf-8").strip()
            module = "org.apache.kafka.common.security.scram.ScramLoginModule"
            lines |= {
                "listeners": f"SASL_SSL://{listeners}",
                "listener.security.protocol.map": "CONTROLLER:SSL,SASL_SSL:SASL_SSL",
                "inter.broker.listener.name": "SASL_SSL",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                    f'{module} required username="{ADMIN}" password="{password}";'
                ),
                "listener.name.controller.ssl.client.auth": "required",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(tls / "node.pem"),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(tls / "ca.pem"),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": f"User:{ADMIN};User:CN=kafka-1",
                "allow.everyone.if.no.acl.found": "false",
            }
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    def _await_metadata(self, seconds: float) -> None:
        """Wait until the log says that the node has started: an open port is earlier."""
        limit = time.monotonic() + seconds
        log = self.folder / "kafka.log"
        while time.monotonic() < limit:
            if self._child is None or self._child.poll() is not None:
                raise KafkaFailed(f"Kafka ended while it started; see {log}")
            tail = log.read_bytes()[-4000:]
            if tail.rfind(b"Kafka Server started") > tail.rfind(b"starting"):
                return
            time.sleep(0.05)
        raise KafkaFailed(f"Kafka did not get ready; see {log}")


class Cluster:
    """Three nodes, each a broker and a controller.  `with Cluster(folder) as cluster: cluster.bootstrap`."""

    def __init__(self, folder: Path, nodes: int = 3, heap: str = "320m") -> None:
        self.nodes = [Kafka(folder / f"node-{n}", heap=heap, number=n) for n in range(1, nodes + 1)]
        for node in self.nodes:
            node.peers = self.nodes
            node.cluster_id = self.nodes[0].cluster_id

    @property
    def bootstrap(self) -> str:
        """Return `host:port` of all nodes."""
        return ",".join(node.bootstrap for node in self.nodes)

    def __enter__(self) -> Self:
        """Start."""
        for node in self.nodes:
            node.folder.mkdir(parents=True, exist_ok=True)
            node._take_ports()
        for node in self.nodes:
            node.prepare()
        for node in self.nodes:
            node.await_ready(60)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all at once: a node alone would wait for the others."""
        for node in self.nodes:
            node.kill()


_LOG4J = """status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


def _environment() -> Mapping[str, str]:
    return {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "JAVA_HOME", "HUB_RUN_ID") if name in os.environ
    }


def _classpath() -> str:
    # In a fixed order: a class data archive is valid for exactly one class path.
    return os.pathsep.join(str(path) for path in sorted(LIBS.glob("*.jar")))


_archiving = threading.Lock()


def _archive_in_background() -> None:
    """Write the class data archive that lets later starts take half the time; once, beside the work."""
    if not _archiving.acquire(blocking=False):
        return
    folder = LIBS.parent / f"archive-{os.getpid()}"

    def work() -> None:
        made = folder / "kafka.jsa"
        node = Kafka(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            node._take_ports()
            node._format()
            (folder / "server.properties").write_text(node._properties(), "utf-8")
            (folder / "log4j2.properties").write_text(_LOG4J, "utf-8")
            command = [
                "java",
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                f"-XX:ArchiveClassesAtExit={made}",
            ]
            child = spawn(
                [
                    *command,
                    f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
                    "-cp",
                    _classpath(),
                    "kafka.Kafka",
                    str(folder / "server.properties"),
                ],
                log=folder / "kafka.log",
                environment=_environment(),
                cwd=folder,
            )
            if listening(node.port, child, 60):
                time.sleep(2)
            end(child, 30)
            if made.exists():
                made.replace(LIBS / "kafka.jsa")
        except OSError:
            # The archive only saves time; without it everything works.
            pass
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    threading.Thread(target=work, name="kafka-archive", daemon=True).start()


def _make_certificates(folder: Path) -> None:
    """Make a CA, a node certificate in PEM and the administrator's password."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    now = datetime.now(UTC) - timedelta(minutes=5)

    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    ca_key, node_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = (
        x509.CertificateBuilder()
        .subject_name(name("hub test CA"))
        .issuer_name(name("hub test CA"))
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(*(False,) * 5, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    import ipaddress

    node = (
        x509.CertificateBuilder()
        .subject_name(name("kafka-1"))
        .issuer_name(ca.subject)
        .public_key(node_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = node_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "node.pem").write_bytes(key + node.public_bytes(pem) + ca.public_bytes(pem))
    (folder / "admin.password").write_text(uuid.uuid4().hex, "utf-8")
    for path in folder.iterdir():
        path.chmod(0o600)
