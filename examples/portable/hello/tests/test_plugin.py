"""Run from the plugin's directory: python -m unittest discover -s tests

The classes are tested as they are, with the real SDK and without a host; `plugyard dev .` runs the whole
plugin and shows every frame.
"""

import importlib.util
import os
import sys
import tempfile
import threading
import unittest

DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True


def load():
    spec = importlib.util.spec_from_file_location("main", os.path.join(DIRECTORY, "main.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


main = load()


class FakeContext(main.Context):
    """Keeps what the plugin says to its host."""

    def __init__(self):
        self.rows = []
        self.acks = []
        self.enough = threading.Event()

    def emit(self, message, meta):
        self.rows.append(message)
        if len(self.rows) >= 3:
            self.enough.set()

    def emit_error(self, error):
        self.rows.append({"error": error})

    def ack_ok(self):
        self.acks.append(None)

    def ack_error(self, error):
        self.acks.append(error)

    def get_rule_id(self):
        return "rule1"

    def get_op_id(self):
        return "op1"

    def get_instance_id(self):
        return 0

    def get_logger(self):
        return sys.stdout


class SourceTest(unittest.TestCase):
    def test_rows_are_numbered_and_end_with_close(self):
        source, ctx = main.Ticks(), FakeContext()
        source.configure("", {"interval": 1})
        thread = threading.Thread(target=source.open, args=(ctx,))
        thread.start()
        self.assertTrue(ctx.enough.wait(10))
        source.close(ctx)
        thread.join(10)
        self.assertFalse(thread.is_alive())
        self.assertEqual([row["n"] for row in ctx.rows[:3]], [0, 1, 2])

    def test_a_bad_interval_is_refused_in_words(self):
        with self.assertRaisesRegex(ValueError, "interval"):
            main.Ticks().configure("", {"interval": 0})


class SinkTest(unittest.TestCase):
    def test_what_is_written_is_acknowledged(self):
        with tempfile.TemporaryDirectory() as directory:
            main.DATA = directory
            sink, ctx = main.Notebook(), FakeContext()
            sink.configure({"file": "a.jsonl"})
            sink.open(ctx)
            sink.collect(ctx, b'[{"n":1}]')
            sink.close(ctx)
            with open(os.path.join(directory, "a.jsonl"), "rb") as file:
                self.assertEqual(file.read(), b'[{"n":1}]\n')
        self.assertEqual(ctx.acks, [None])

    def test_a_file_elsewhere_is_refused(self):
        with self.assertRaises(ValueError):
            main.Notebook().configure({"file": "../a"})


class FunctionTest(unittest.TestCase):
    def test_it_greets_one(self):
        greet = main.Greet()
        self.assertEqual(greet.validate(["name"]), "")
        self.assertIn("got 0", greet.validate([]))
        self.assertEqual(greet.exec(["you"], FakeContext()), "Hello, you!")
        self.assertFalse(greet.is_aggregate())


class ManifestTest(unittest.TestCase):
    def test_it_names_what_the_program_serves(self):
        import json

        with open(os.path.join(DIRECTORY, "hello.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        config = main.CONFIG
        self.assertEqual(config.name, "hello")
        for kind in ("sources", "sinks", "functions"):
            self.assertEqual(sorted(getattr(config, kind)), sorted(manifest[kind]))


if __name__ == "__main__":
    unittest.main()
