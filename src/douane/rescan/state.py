"""The verdicts of today and before, by image, in a file that outlives a killed rescan."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import zlib
from pathlib import Path
from types import TracebackType

import msgspec

from douane.errors import CatalogError, PlanError
from douane.report import Verdict

from .fingerprints import Fingerprint

_FORMAT = 1
_TABLE = """CREATE TABLE IF NOT EXISTS judged
    (place TEXT NOT NULL, entry TEXT NOT NULL, record BLOB NOT NULL, PRIMARY KEY (place, entry))"""


class Record(msgspec.Struct, frozen=True):
    """A verdict, and what the inspector judged by."""

    fingerprint: Fingerprint
    verdict: Verdict


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on one image."""

    content: str
    """The digest of the bytes that were judged."""

    declared: str
    """The digest of the declared facts."""

    transformed: bool | None = None
    """True if the bytes are not those that were received; None if nobody knows."""

    records: dict[str, Record] = {}
    """By the inspector's name in the plan."""


class State:
    """A SQLite file, for one rescan at a time. A context manager."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it. Raises PlanError if another rescan uses it or a later release wrote it; CatalogError."""
        self._path = path
        try:
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PlanError(f"the state of the rescan cannot be kept at {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._database = self._open()
        except BlockingIOError as error:
            os.close(self._lock)
            raise PlanError(f"another rescan uses {path}: wait for its end, or name another --state") from error
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(self._path)
            os.chmod(self._path, 0o600)
            [version] = database.execute("PRAGMA user_version").fetchone()
            if version > _FORMAT:
                raise PlanError(f"{self._path} was written by a later release of Douane; name another --state")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA user_version = {_FORMAT}")
            database.execute(_TABLE)
            database.commit()
            return database
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def judged(self, place: str, entry: str) -> Judged | None:
        """What is known of an entry; None if nothing is, or if it cannot be understood."""
        try:
            query = "SELECT record FROM judged WHERE place = ? AND entry = ?"
            row = self._database.execute(query, (place, entry)).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        try:
            return None if row is None else msgspec.json.decode(zlib.decompress(row[0]), type=Judged)
        except (zlib.error, msgspec.MsgspecError):
            return None  # it is judged again

    def save(self, place: str, entry: str, judged: Judged) -> None:
        """Record it; `commit` makes it last."""
        record = zlib.compress(msgspec.json.encode(judged), level=1)
        try:
            self._database.execute("INSERT OR REPLACE INTO judged VALUES (?, ?, ?)", (place, entry, record))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def commit(self) -> None:
        """Whatever was saved outlives this process."""
        try:
            self._database.commit()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.Error) -> CatalogError:
        return CatalogError(f"the state of the rescan in {self._path} cannot be used: {error}")

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        os.close(self._lock)

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
