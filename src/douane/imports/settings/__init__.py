"""The settings of `douane serve`: the table ``[serve]`` of the configuration file.

The structs are in `structs.py`. Every error is a sentence that names the wrong setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from douane.errors import PlanError
from douane.plan.parse import read_toml
from douane.plan.plugin_table import refuse_unknown
from douane.plan.wrong_value import wrong_value
from douane.stores.base import check_options

from .rules import DEFAULT_STORE, check_settings
from .structs import KeystoneSettings, QuotaSettings, ServeSettings, StoreSettings, WebDownloadSettings
from .values import FilePath, parse_address, parse_value

__all__ = [
    "DEFAULT_STORE", "KeystoneSettings", "QuotaSettings", "ServeSettings", "StoreSettings", "WebDownloadSettings",
    "is_shared_database", "load_settings", "parse_settings",
]  # fmt: skip

S = TypeVar("S", bound=msgspec.Struct)

_STORE_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}", re.ASCII)


def load_settings(
    config: str | None, home: Path, *, listen: str | None = None, workers: int | None = None
) -> ServeSettings:
    """The settings in the file `config`; None, or a file without ``[serve]``: the defaults.

    `home` is where the default store is. `listen` and `workers` are options of the command line, which count more than
    the file. Raises PlanError, which names the wrong setting.
    """
    table: Mapping[str, Any] = {} if config is None else read_toml(config)
    where = config or "the built-in settings"
    base = os.path.dirname(os.path.realpath(config)) if config is not None else os.getcwd()
    settings = parse_settings(table.get("serve", {}), where=where, base=base)
    if listen is not None:
        try:
            settings = msgspec.structs.replace(settings, listen=parse_address(listen))
        except ValueError as error:
            raise PlanError(f"--listen is {error}") from error
    if workers is not None:
        settings = msgspec.structs.replace(settings, workers=workers)
        check_settings(settings, "--workers")
    if not settings.stores:
        store = StoreSettings(url=f"file:{home / 'store'}", default=True)
        settings = msgspec.structs.replace(settings, stores={DEFAULT_STORE: store})
    if not (settings.listen.is_loopback or settings.keystone or settings.without_keystone):
        raise PlanError(
            f"{where}: other machines can reach {settings.listen}, and without [serve.keystone] every client is an "
            "administrator; configure Keystone, listen on 127.0.0.1, or write [serve] without_keystone = true"
        )
    return settings


def is_shared_database(settings: ServeSettings) -> bool:
    """True if the catalog is in a database server, which other machines reach, too."""
    return settings.database is not None and not settings.database.startswith("sqlite")


def parse_settings(table: Any, *, where: str, base: str) -> ServeSettings:
    """The settings in the decoded table ``[serve]`` of the document `where`; relative paths begin at `base`.

    Raises PlanError.
    """
    reader = _Reader(where, base)
    if not isinstance(table, dict):
        raise PlanError(f"{where}: serve is a table, written [serve]")
    stores = table.get("stores", {})
    if not isinstance(stores, dict):
        raise PlanError(f"{where}: stores are written [serve.stores.NAME], a table for each")
    inner: dict[str, Any] = {
        name: reader.read(table[name], kind, f"serve.{name}") for name, kind in _TABLES.items() if name in table
    }
    inner["stores"] = {name: reader.store(name, store) for name, store in stores.items()}
    own = {key: value for key, value in table.items() if key not in inner}
    settings = msgspec.structs.replace(reader.read(own, ServeSettings, "serve"), **inner)
    check_settings(settings, where)
    return settings


_TABLES: dict[str, type[msgspec.Struct]] = {
    "quota": QuotaSettings,
    "keystone": KeystoneSettings,
    "web_download": WebDownloadSettings,
}


class _Reader:
    """Reads tables of one document. Every error names the table and the key."""

    def __init__(self, where: str, base: str) -> None:
        self._where = where
        self._base = base

    def read(self, table: Any, kind: type[S], path: str) -> S:
        """The struct `kind` of `table`, which is written ``[path]``."""
        if not isinstance(table, dict):
            raise PlanError(f"{self._where}: {path} is a table, written [{path}]")
        refuse_unknown(table, kind.__struct_fields__, self._where, f"[{path}] ")
        for field in msgspec.structs.fields(kind):
            if field.required and field.name not in table:
                raise PlanError(f"{self._where}: [{path}] has no {field.name!r}")
        try:
            return msgspec.convert(table, kind, dec_hook=lambda wanted, value: parse_value(wanted, value, self._base))
        except msgspec.ValidationError as error:
            key, words = wrong_value(error, kind)
            name = key.partition("[")[0]
            raise PlanError(f"{self._where}: [{path}] {name!r} is wrong: {words}") from error

    def store(self, name: str, table: Any) -> StoreSettings:
        """The store of ``[serve.stores.NAME]``, with the path of a file store from the folder of the document."""
        if not _STORE_ID.fullmatch(name):
            raise PlanError(
                f"{self._where}: [serve.stores] {name!r:.80} is not a name: a letter or digit, then at most 63 of "
                "a-z A-Z 0-9 . _ - (clients list stores with commas between them)"
            )
        settings = self.read(table, StoreSettings, f"serve.stores.{name}")
        scheme, colon, location = settings.url.partition(":")
        if not colon or not location:
            raise PlanError(
                f"{self._where}: [serve.stores.{name}] 'url' is wrong: expected the URL of a store, such as "
                f"file:/var/lib/douane/{name}, not {settings.url!r:.60}"
            )
        try:
            check_options(settings.url, settings.options)
        except PlanError as error:
            raise PlanError(f"{self._where}: [serve.stores.{name}]: {error}") from error
        if scheme != "file":
            return settings
        if "\0" in location:
            raise PlanError(
                f"{self._where}: [serve.stores.{name}] 'url' is wrong: expected a path without NUL characters"
            )
        path = parse_value(FilePath, location, self._base)
        return msgspec.structs.replace(settings, url=f"file:{path}")
