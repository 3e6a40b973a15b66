"""The plugin hello: one source, one sink and one function.

It needs nothing but the public SDK: `pip install ekuiper==2.4.2`.
"""

import os
import threading

from ekuiper import Context, Function, PluginConfig, Sink, Source, plugin

# What is written here outlives this process and this version.
DATA = os.environ.get("PLUGYARD_DATA_DIR", ".")


class Ticks(Source):
    """Emits a numbered row every `interval` milliseconds."""

    def __init__(self):
        self.interval = 1.0
        self.wanted = threading.Event()
        self.ended = threading.Event()
        self.begun = False

    def configure(self, datasource: str, conf: dict):
        interval = conf.get("interval", 1000)
        if not isinstance(interval, (int, float)) or interval <= 0:
            # Shown to whoever makes the rule: say what, what it takes, and what it got.
            raise ValueError(
                "source `hello_ticks` property `interval` must be a positive number of"
                f" milliseconds but got {interval}"
            )
        self.interval = interval / 1000

    def open(self, ctx: Context):
        # Runs in a thread of its own until `close`.
        self.begun = True
        n = 0
        try:
            while not self.wanted.is_set():
                ctx.emit({"n": n, "text": f"tick {n}"}, None)
                n += 1
                self.wanted.wait(self.interval)
        finally:
            self.ended.set()

    def close(self, ctx: Context):
        self.wanted.set()
        if self.begun:
            # The channel is closed right after this: let the row under way get out.
            self.ended.wait(5)


class Notebook(Sink):
    """Appends each message to a file, and acknowledges what is written."""

    def configure(self, conf: dict):
        name = conf.get("file", "notebook.jsonl")
        if not name or os.path.basename(name) != name:
            raise ValueError(
                f"sink `hello_notebook` property `file` must be a plain file name but got {name}"
            )
        self.path = os.path.join(DATA, name)

    def open(self, ctx: Context):
        self.file = open(self.path, "ab", buffering=0)

    def collect(self, ctx: Context, data: bytes):
        try:
            self.file.write(data + b"\n")
        except OSError as error:
            ctx.ack_error(str(error))
            return
        ctx.ack_ok()

    def close(self, ctx: Context):
        self.file.close()


class Greet(Function):
    """`hello_greet(name)` is a greeting."""

    def validate(self, args: list):
        if len(args) != 1:
            return f"hello_greet takes 1 argument but got {len(args)}"
        return ""

    def exec(self, args: list, ctx: Context):
        return f"Hello, {args[0]}!"

    def is_aggregate(self):
        return False


CONFIG = PluginConfig(
    "hello",
    {"hello_ticks": Ticks},
    {"hello_notebook": Notebook},
    {"hello_greet": Greet},
)

if __name__ == "__main__":
    plugin.start(CONFIG)
