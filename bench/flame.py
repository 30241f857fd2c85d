"""Where the time of the hub's own worker goes: a flame graph of the role normalise at the job of `throughput.py`.

python bench/flame.py docs/flame.svg
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from subprocess import run

from throughput import Bench

from hub.testing.cluster import Kafka

SECONDS, RATE = 10, 400
"""How long the worker is looked at, and how often in a second."""


def main() -> None:
    """Look at a worker that is at full speed."""
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder) / "kafka", heap="1g") as node:
        bench = Bench(node, 3_000_000)
        profiler = str(Path(sys.executable).with_name("py-spy"))

        def look(pid: int) -> None:
            command = [profiler, "record", "--pid", str(pid), "--duration", str(SECONDS), "--rate", str(RATE)]
            run([*command, "--format", "flamegraph", "--output", str(target)], check=True, capture_output=True)

        bench.run("hub_normalise", 0, 2.0, 0.5, look)
    # Its title is the command, with the path of whoever ran it.
    drawn = re.sub(r'(<text id="title"[^>]*>)[^<]*', r"\1The role normalise at full speed", target.read_text("utf-8"))
    target.write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
