"""python3 -m unittest discover clients/python/tests"""

import http.server
import json
import os
import queue
import shutil
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from plugyard_config import Change, ConfigError, PluginConfig  # noqa: E402

DOCUMENT = {
    "revision": 3,
    "values": {
        "TIMEOUT": 60,
        "RATIO": 1.5,
        "ON": False,
        "ZERO": 0,
        "CLEARED": None,
        "TEXT": "x",
        "NUMBER": "30",
        "WHOLE": 2.0,
    },
    "unreadable": ["SECRET"],
}


def store(directory, document):
    """As the server does: a new file that takes the place of the old one, and a link to the version in force."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory.parent.parent.parent / "ready").touch()
    link = directory.parent / "current"
    if not link.is_symlink():
        link.symlink_to(directory.name)
    new = directory / "new"
    new.write_text(json.dumps(document))
    new.rename(directory / "config.json")


class Reading(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)
        self.directory = self.home / "plugin-config/app/Demo/0199"
        store(self.directory, DOCUMENT)
        self.config = PluginConfig.of_plugin(self.home, "Demo")

    def test_stored_values_win_over_defaults_also_false_and_zero(self):
        get = self.config.get_config
        self.assertEqual(get("TIMEOUT", 30), 60)
        self.assertIs(get("ON", True), False)
        self.assertEqual(get("ZERO", 7), 0)
        self.assertEqual(get("CLEARED", 30), 30)
        self.assertIsNone(get("CLEARED"))

    def test_an_unknown_key_gives_the_default_and_one_line(self):
        with self.assertLogs("plugyard.config", "DEBUG") as lines:
            self.assertEqual(self.config.get_config("NOPE", 30), 30)
            self.assertEqual(self.config.get_config("NOPE", 31), 31)
        self.assertEqual(len(lines.output), 1)

    def test_a_secret_that_cannot_be_read_is_an_error(self):
        with self.assertRaisesRegex(ConfigError, "SECRET"):
            self.config.get_config("SECRET", "x")

    def test_typed_readers_convert_or_name_the_key(self):
        self.assertEqual(self.config.get_string("TIMEOUT"), "60")
        self.assertEqual(self.config.get_string("RATIO"), "1.5")
        self.assertEqual(self.config.get_string("ON"), "0")
        self.assertEqual(self.config.get_int("NUMBER"), 30)
        self.assertEqual(self.config.get_int("WHOLE"), 2)
        self.assertEqual(self.config.get_float("RATIO"), 1.5)
        self.assertIs(self.config.get_bool("ON", True), False)
        self.assertEqual(self.config.get_int("CLEARED", 5), 5)
        for reader in (self.config.get_int, self.config.get_float, self.config.get_bool):
            with self.assertRaisesRegex(ConfigError, "TEXT"):
                reader("TEXT")
        with self.assertRaisesRegex(ConfigError, "RATIO"):
            self.config.get_int("RATIO")

    def test_a_new_value_is_seen_at_once(self):
        self.assertEqual(self.config.all().revision, 3)
        store(self.directory, {"revision": 4, "values": {"TIMEOUT": 61}, "unreadable": []})
        self.assertEqual(self.config.get_config("TIMEOUT"), 61)
        self.assertEqual(self.config.all().revision, 4)
        (self.directory / "config.json").unlink()
        self.assertEqual(self.config.get_config("TIMEOUT", 30), 30)

    def test_only_the_version_in_force_counts(self):
        store(self.directory.parent / "0200", {"revision": 4, "values": {"TIMEOUT": 61}})
        self.assertEqual(self.config.get_config("TIMEOUT"), 60)
        link = self.directory.parent / "current"
        link.with_name("new").symlink_to("0200")
        link.with_name("new").rename(link)
        self.assertEqual(self.config.get_config("TIMEOUT"), 61)

    def test_changes_are_told_with_their_keys_in_order(self):
        told = queue.Queue()
        end = self.config.on_change(told.put)
        self.addCleanup(end)
        first = told.get(timeout=60)
        self.assertEqual(first.revision, 3)
        self.assertEqual(set(first.keys), {*DOCUMENT["values"], "SECRET"})
        values = {**DOCUMENT["values"], "TIMEOUT": 61, "ON": 0, "NEW": None}
        store(self.directory, {"revision": 5, "values": values, "unreadable": ["SECRET"]})
        self.assertEqual(told.get(timeout=60), Change(5, ("NEW", "ON", "TIMEOUT")))
        # Gone for a moment, as when the server starts again, and back.
        (self.directory / "config.json").unlink()
        self.assertEqual(self.config.all().revision, 0)
        store(self.directory, {"revision": 6, "values": {"TIMEOUT": 61}})
        last = told.get(timeout=60)
        self.assertEqual((last.revision, "TIMEOUT" in last.keys), (6, False))

    def test_a_callback_that_fails_is_called_again(self):
        told = queue.Queue()

        def callback(change):
            told.put(change.revision)
            raise ValueError("no")

        with self.assertLogs("plugyard.config", "ERROR"):
            self.addCleanup(self.config.on_change(callback))
            self.assertEqual(told.get(timeout=60), 3)
            store(self.directory, {"revision": 4, "values": {}})
            self.assertEqual(told.get(timeout=60), 4)

    def test_without_a_server_the_last_values_stay_and_nothing_is_made_up(self):
        self.assertEqual(self.config.get_config("TIMEOUT"), 60)
        (self.home / "plugin-config/ready").unlink()
        shutil.rmtree(self.directory)
        self.assertEqual(self.config.get_config("TIMEOUT", 30), 60)
        with self.assertRaisesRegex(ConfigError, "no server"):
            PluginConfig.of_plugin(self.home, "Demo").get_config("TIMEOUT", 30)
        # It runs again, and the plugin is gone.
        (self.home / "plugin-config/ready").touch()
        self.assertEqual(self.config.get_config("TIMEOUT", 30), 30)

    def test_names_and_files_that_are_none(self):
        self.assertEqual(PluginConfig.of_plugin(self.home, "Other").get_config("A", 9), 9)
        with self.assertRaises(ConfigError):
            PluginConfig.of_plugin(self.home, "../x")
        (self.directory / "config.json").write_text("{bad")
        with self.assertRaisesRegex(ConfigError, "understood"):
            self.config.get_config("A")

    def test_the_environment_says_where(self):
        file = str(self.directory / "config.json")
        with mock.patch.dict(os.environ, {"PLUGYARD_CONFIG_FILE": file}):
            self.assertEqual(PluginConfig.from_environment().get_config("TIMEOUT"), 60)
        cleared = {"PLUGYARD_CONFIG_FILE": "", "PLUGYARD_API": "", "PLUGYARD_TOKEN": ""}
        with mock.patch.dict(os.environ, cleared):
            self.assertEqual(PluginConfig.from_environment().get_config("TIMEOUT", 2), 2)


class Asking(unittest.TestCase):
    def test_a_server_is_asked_with_the_token(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                right = self.headers["Authorization"] == "Bearer t" and self.path == "/v1/self/config"
                self.send_response(200 if right else 401)
                self.end_headers()
                self.wfile.write(json.dumps(DOCUMENT if right else {}).encode())

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        api = f"http://127.0.0.1:{server.server_port}"
        self.assertEqual(PluginConfig.from_server(api, "t").get_config("TIMEOUT"), 60)
        with self.assertRaisesRegex(ConfigError, "401"):
            PluginConfig.from_server(api, "other").get_config("TIMEOUT")


if __name__ == "__main__":
    unittest.main()
