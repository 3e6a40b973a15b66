"""A portable plugin that reads this machine's own counters.

Source `counters`: load, memory and network from /proc, one numbered row per interval.
Function `percent(part, whole)`: a part of a whole in percent.
Sink `notebook`: appends what it gets to a file and acknowledges it.

It needs nothing but the public SDK: `pip install ekuiper==2.4.2`.
"""

import os
import threading
import time

from ekuiper import Context, Function, PluginConfig, Sink, Source, plugin

DATA = os.environ.get("PLUGYARD_DATA_DIR", ".")


class Number:
    """The number of the next row, kept on disk so that the next process goes on where this one ended.

    The file has a fixed width, so that writing it is one write that is whole or not done at all.
    """

    WIDTH = 20

    def __init__(self, path: str):
        self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def read(self) -> int:
        text = os.pread(self.file, self.WIDTH, 0).strip()
        return int(text) if text else 0

    def write(self, number: int):
        os.pwrite(self.file, str(number).rjust(self.WIDTH).encode(), 0)

    def close(self):
        os.close(self.file)


class Counters(Source):
    """Emits one row per interval; `n` has no gaps and no repetitions, also across an upgrade."""

    def __init__(self):
        self.interval = 0.05
        self.wanted = threading.Event()
        self.ended = threading.Event()
        self.begun = False

    def configure(self, datasource: str, conf: dict):
        interval = conf.get("interval", 50)
        if not isinstance(interval, (int, float)) or interval <= 0:
            raise ValueError(
                "source `counters` property `interval` must be a positive number of"
                f" milliseconds but got {interval}"
            )
        self.interval = interval / 1000
        # One number for each instance: rules do not share it.
        self.datasource = datasource

    def open(self, ctx: Context):
        self.begun = True
        name = f"counters_{ctx.get_rule_id()}_{ctx.get_op_id()}.number"
        number = Number(os.path.join(DATA, name.replace("/", "_")))
        try:
            n = number.read()
            due = time.monotonic()
            while not self.wanted.is_set():
                ctx.emit({"n": n, **read_machine()}, {"host": os.uname().nodename})
                # Only what was handed over is counted, so that the next process repeats nothing.
                n += 1
                number.write(n)
                due = max(due + self.interval, time.monotonic())
                self.wanted.wait(due - time.monotonic())
        finally:
            number.close()
            self.ended.set()

    def close(self, ctx: Context):
        """Waits for the row that is being emitted: the channel is closed right after this."""
        self.wanted.set()
        if self.begun:
            self.ended.wait(5)


class Percent(Function):
    """`percent(part, whole)`, with one decimal."""

    def validate(self, args):
        if len(args) != 2:
            return f"percent needs 2 parameters (part, whole) but got {len(args)}"
        return ""

    def exec(self, args, ctx: Context):
        part, whole = args
        if part is None or not whole:
            return None
        return round(100 * part / whole, 1)

    def is_aggregate(self):
        return False


class Notebook(Sink):
    """Appends each message as a line to a file in the plugin's data directory."""

    def __init__(self):
        self.path = os.path.join(DATA, "notebook.jsonl")
        self.file = None

    def configure(self, conf: dict):
        name = conf.get("file", "notebook.jsonl")
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise ValueError(f"sink `notebook` property `file` must be a file name but got {name!r}")
        self.path = os.path.join(DATA, name)

    def open(self, ctx: Context):
        self.file = open(self.path, "ab", buffering=0)

    def collect(self, ctx: Context, data: bytes):
        try:
            self.file.write(data + b"\n")
        except OSError as error:
            ctx.ack_error(str(error))
        else:
            ctx.ack_ok()

    def close(self, ctx: Context):
        if self.file is not None:
            self.file.close()


def read_machine() -> dict:
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()
    memory = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            memory[name] = int(rest.split()[0]) * 1024
    received = sent = 0
    with open("/proc/net/dev", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            fields = line.split(":", 1)[1].split()
            received += int(fields[0])
            sent += int(fields[8])
    total = memory["MemTotal"]
    return {
        "load1": float(load[0]),
        "mem_total": total,
        "mem_used": total - memory.get("MemAvailable", memory["MemFree"]),
        "net_received": received,
        "net_sent": sent,
    }


if __name__ == "__main__":
    plugin.start(
        PluginConfig(
            "machine",
            {"counters": Counters},
            {"notebook": Notebook},
            {"percent": Percent},
        )
    )
