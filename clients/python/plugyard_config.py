"""Reads the configuration of a plugin that Plugyard keeps. One file, Python 3.9 or newer, nothing else needed.

    config = PluginConfig.from_environment()              # in a process that Plugyard started
    config = PluginConfig.of_plugin(home, "DemoPlugin")   # in an application beside its home
    timeout = config.get_config("API_TIMEOUT", 30)

A value that is not null is given as it is stored, also ``False`` and ``0``; else the caller's default. A key
that does not exist gives the default too. Values are read again when they changed, so a long process sees a
new value no later than a second after it was stored; ``on_change`` tells when that was.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

__all__ = ["Change", "ConfigError", "PluginConfig", "Snapshot"]

_LOG = logging.getLogger("plugyard.config")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
#: Seconds after which an address is asked again, and somebody who follows changes looks again.
_FRESH = 0.5
#: Seconds after which the time of a file tells it from one that is written next.
_SETTLED = 2
#: Bytes of a document that is read.
_LIMIT = 16 << 20


class ConfigError(Exception):
    """A value cannot be read as what was asked for, or the configuration not at all."""


class Snapshot(NamedTuple):
    """All values of one moment."""

    revision: int
    values: dict[str, Any]
    unreadable: frozenset[str]


class Change(NamedTuple):
    """That values were written."""

    revision: int
    #: The fields whose value is another than when last told, sorted; at first all of them.
    keys: tuple[str, ...]


_NOTHING = Snapshot(0, {}, frozenset())


class PluginConfig:
    """The values of one plugin. Safe to use from several threads."""

    def __init__(self, read: Callable[["PluginConfig"], Snapshot]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._snapshot = _NOTHING
        self._stamp: Any = None
        self._missed: set[str] = set()

    @classmethod
    def from_environment(cls) -> "PluginConfig":
        """In a process that Plugyard started: from the file that ``PLUGYARD_CONFIG_FILE`` names, else from the
        server at ``PLUGYARD_API`` with ``PLUGYARD_TOKEN``. With neither every read gives the default."""
        file = os.environ.get("PLUGYARD_CONFIG_FILE")
        api, token = os.environ.get("PLUGYARD_API"), os.environ.get("PLUGYARD_TOKEN")
        if file:
            return cls.from_file(file)
        if api and token:
            return cls.from_server(api, token)
        return cls(lambda _: _NOTHING)

    @classmethod
    def from_file(cls, file: "os.PathLike[str] | str") -> "PluginConfig":
        """From a file as ``PLUGYARD_CONFIG_FILE`` names it."""
        path = Path(file)
        return cls(lambda self: self._of_file(path))

    @classmethod
    def of_plugin(cls, home: "os.PathLike[str] | str", plugin: str) -> "PluginConfig":
        """The values of an ``app`` plugin, read beside the home directory of Plugyard. Needs the rights of the
        server's user, because secrets are in them. A plugin that is not installed has none. While no server runs
        there the values read last stay, and without any a read is an error."""
        if not _NAME.fullmatch(plugin):
            raise ConfigError(f"not a plugin's name: {plugin}")
        # There while a server runs.
        ready = Path(home) / "plugin-config" / "ready"
        # The link leads to the version in force.
        path = ready.parent / "app" / plugin / "current" / "config.json"

        def read(self: "PluginConfig") -> Snapshot:
            # Twice, so that a server which begins or ends in between is noticed.
            for _ in range(2):
                snapshot = self._of_file(path)
                if snapshot is not _NOTHING:
                    return snapshot
                if not ready.exists():
                    if self._snapshot is _NOTHING:
                        raise ConfigError(f"no server keeps {ready.parent}")
                    return self._snapshot
            return _NOTHING

        return cls(read)

    @classmethod
    def from_server(cls, api: str, token: str) -> "PluginConfig":
        """From a server, with the token of the plugin."""
        address = api.rstrip("/") + "/v1/self/config"
        return cls(lambda self: self._of_server(address, token))

    def get_config(self, key: str, default: Any = None) -> Any:
        """The stored value, or the default where there is none.

        :raises ConfigError: for a secret that cannot be decrypted.
        """
        snapshot = self.all()
        if key in snapshot.unreadable:
            raise ConfigError(f"{key} is set and cannot be decrypted")
        if key not in snapshot.values:
            if key not in self._missed:
                self._missed.add(key)
                _LOG.debug("no configuration key %s", key)
            return default
        value = snapshot.values[key]
        return default if value is None else value

    def get_string(self, key: str, default: Optional[str] = None) -> Optional[str]:
        """The value as text: a number in decimal, a checkbox as ``1`` or ``0``."""
        value = self.get_config(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, (str, int)):
            return str(value)
        if isinstance(value, float):
            return json.dumps(value)
        raise ConfigError(f"{key} is no text")

    def get_int(self, key: str, default: Optional[int] = None) -> Optional[int]:
        """The value as a whole number."""
        value = self.get_config(key)
        if value is None:
            return default
        if isinstance(value, float) and not value.is_integer():
            raise ConfigError(f"{key} is no whole number")
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(f"{key} is no whole number") from None

    def get_float(self, key: str, default: Optional[float] = None) -> Optional[float]:
        """The value as a number."""
        value = self.get_config(key)
        if value is None:
            return default
        if isinstance(value, bool):
            raise ConfigError(f"{key} is no number")
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"{key} is no number") from None

    def get_bool(self, key: str, default: Optional[bool] = None) -> Optional[bool]:
        """The value as yes or no."""
        value = self.get_config(key)
        if value is None:
            return default
        known = {"1": True, "true": True, "on": True, "yes": True}
        known.update({"0": False, "false": False, "off": False, "no": False, "": False})
        word = str(value).lower()
        if word not in known:
            raise ConfigError(f"{key} is neither yes nor no")
        return known[word]

    def all(self) -> Snapshot:
        """All values of one moment, with the revision they are of."""
        with self._lock:
            self._snapshot = self._read(self)
            return self._snapshot

    def on_change(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Tells of the revision there is, and then of each write, in order, from a thread of its own. Writes that
        follow each other closely are told as one. What is returned ends it when it is called; a call that is
        under way then is finished. An exception of the callback is logged, and the next write is told."""
        ended = threading.Event()

        def follow() -> None:
            told = _NOTHING
            while True:
                try:
                    now = self.all()
                except ConfigError as error:
                    # It is asked again in a moment, as long as it takes.
                    _LOG.debug("%s", error)
                else:
                    # Without a server, or after an uninstall, there is nothing to tell of.
                    if now.revision not in (0, told.revision):
                        keys, told = _differing(told, now), now
                        try:
                            callback(Change(now.revision, keys))
                        except Exception:
                            _LOG.exception("the callback for revision %s failed", now.revision)
                if ended.wait(_FRESH):
                    return

        threading.Thread(target=follow, name="plugyard-config", daemon=True).start()
        return ended.set

    def _of_file(self, path: Path) -> Snapshot:
        try:
            with path.open("rb") as file:
                # Every write makes a new file.
                stat = os.fstat(file.fileno())
                stamp = (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
                if stamp == self._stamp:
                    return self._snapshot
                snapshot = _understand(file.read(_LIMIT))
        except FileNotFoundError:
            self._stamp = None
            return _NOTHING
        except OSError as error:
            raise ConfigError(f"the configuration file cannot be read: {error}") from error
        # A file that was written just now and one that takes its place may look the same.
        self._stamp = stamp if time.time() - stat.st_mtime > _SETTLED else None
        return snapshot

    def _of_server(self, address: str, token: str) -> Snapshot:
        now = time.monotonic()
        if self._stamp is not None and now - self._stamp < _FRESH:
            return self._snapshot
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        # Beside us, so never over a proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                snapshot = _understand(answer.read(_LIMIT))
        except (OSError, urllib.error.URLError) as error:
            raise ConfigError(f"the server does not give the configuration: {error}") from error
        self._stamp = now
        return snapshot


def _differing(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    def seen(snapshot: Snapshot, key: str) -> Any:
        value = snapshot.values.get(key)
        # 1 and True are different values here.
        return type(value), value, key in snapshot.unreadable

    keys = {*before.values, *before.unreadable, *after.values, *after.unreadable}
    known = {*before.values, *before.unreadable}
    return tuple(sorted(key for key in keys if key not in known or seen(before, key) != seen(after, key)))


def _understand(text: bytes) -> Snapshot:
    try:
        document = json.loads(text)
        values = dict(document["values"])
        unreadable = frozenset(document.get("unreadable") or ())
        return Snapshot(int(document.get("revision") or 0), values, unreadable)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError):
        raise ConfigError("the configuration cannot be understood") from None
