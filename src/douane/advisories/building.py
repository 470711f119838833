"""Write the database of advisories. The same input gives the same bytes; memory does not grow with the advisories.

Advisories go to a database beside the result first, where a newer one of the same number replaces the older, and from
there in their order to the result, which takes its place when it is complete.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from douane.errors import PlanError
from douane.plugins.packages.schema import APPLICATION_ID, DATE, TABLES, VERSION

from .osv import UNKNOWN, Record, decoder, rows_of

MAX_RECORD = 16 << 20
"""Bytes of an advisory. The longest that OSV has exported were of 5 MiB (kernels, with all their versions)."""

MAX_BYTES = 64 << 30
"""Of all advisories, unpacked: all of OSV is 4 GiB."""

_STAGING = """
CREATE TABLE record (name TEXT PRIMARY KEY, modified TEXT, cves TEXT, words TEXT) WITHOUT ROWID;
CREATE TABLE row (name TEXT, system TEXT, package TEXT, severity INT, ranges TEXT);
CREATE INDEX row_name ON row (name);
CREATE TABLE cve (name TEXT PRIMARY KEY, severity INT) WITHOUT ROWID;
"""

_COPY = """
INSERT INTO result.system (name, advisories)
    SELECT system, count(DISTINCT name) FROM main.row GROUP BY system ORDER BY system;
INSERT INTO result.advisory (name, cves)
    SELECT name, words FROM main.record WHERE name IN (SELECT name FROM main.row) ORDER BY name;
CREATE TABLE main.number (name TEXT PRIMARY KEY, number INT) WITHOUT ROWID;
INSERT INTO main.number SELECT name, number FROM result.advisory ORDER BY name;
INSERT INTO result.affected
    SELECT system.number, row.package, number.number,
        CASE WHEN row.severity THEN row.severity ELSE ifnull((
            SELECT max(cve.severity) FROM main.record, json_each(record.cves) AS alias, main.cve
            WHERE record.name = row.name AND cve.name = alias.value), 0) END,
        row.ranges
    FROM main.row JOIN result.system ON system.name = row.system JOIN main.number ON number.name = row.name
    ORDER BY 1, 2, 3;
"""
"""A severity that an advisory does not tell is the highest that another advisory tells of the same CVE."""


class Counts(NamedTuple):
    """What the database has."""

    advisories: int
    systems: list[tuple[str, int]]
    """Each with its advisories."""

    date: str
    ignored: int
    """Advisories that are withdrawn, or of ecosystems that are not taken."""


def build(paths: Iterable[str], output: str, date: str | None = None) -> Counts:
    """Write the database of the advisories in zip files to `output`. `date` is the day of the files, or else the
    newest day on which one of the advisories was modified. Raises PlanError."""
    folder = os.path.dirname(os.path.abspath(output))
    try:
        with tempfile.TemporaryDirectory(prefix=".douane-cve-", dir=folder) as place:
            result = os.path.join(place, "result")
            counts = _write(paths, os.path.join(place, "staging"), result, date)
            os.chmod(result, 0o644)
            os.replace(result, output)
            return counts
    except (OSError, sqlite3.Error) as error:
        raise PlanError(f"{output} cannot be written: {error}") from error


def _write(paths: Iterable[str], staging: str, result: str, date: str | None) -> Counts:
    with contextlib.closing(sqlite3.connect(staging, isolation_level=None)) as database:
        database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=4096; {_STAGING}")
        database.execute("BEGIN")
        staged = _Staging(database)
        for path in paths:
            for name, data in _members(path):
                staged.add(_record(path, name, data))
        database.execute("COMMIT")
        if not staged.newest:
            raise PlanError("the files have no advisory for a system or ecosystem that is taken")
        database.execute("ATTACH ? AS result", (result,))
        return _copy(database, date or staged.newest, staged.ignored)


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    total = 0
    if not zipfile.is_zipfile(path):
        raise PlanError(f"{path} is no zip file: OSV exports one for each ecosystem, ECOSYSTEM/all.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.infolist(), key=lambda member: member.filename):
                if not member.filename.endswith(".json"):
                    continue
                with archive.open(member) as file:
                    data = file.read(MAX_RECORD + 1)
                total += len(data)
                if len(data) > MAX_RECORD or total > MAX_BYTES:
                    raise PlanError(f"{path}: {member.filename} is too large for an advisory of OSV")
                yield member.filename, data
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise PlanError(f"{path} is damaged: {error}; download it again") from error


def _record(path: str, name: str, data: bytes) -> Record:
    try:
        record = decoder.decode(data)
        datetime.date.fromisoformat(record.modified[:10])
    except (msgspec.DecodeError, ValueError) as error:
        raise PlanError(f"{path}: {name} is no advisory of OSV: {error}") from error
    return record


class _Staging:
    """Takes one advisory after the other."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.newest = ""
        self.ignored = 0

    def add(self, record: Record) -> None:
        execute = self._database.execute
        stored = execute("SELECT modified FROM record WHERE name = ?", (record.id,)).fetchone()
        if stored and stored[0] >= record.modified:
            return
        if stored:
            execute("DELETE FROM row WHERE name = ?", (record.id,))
        rows = [] if record.withdrawn else rows_of(record)
        if not rows:
            self.ignored += 1
        cves = record.cves()
        values = record.id, record.modified, json.dumps(cves), " ".join(cves)
        execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", values)
        self._database.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?)", [(record.id, *row) for row in rows])
        severity = max((row.severity for row in rows), default=UNKNOWN)
        if severity:
            self._database.executemany(
                "INSERT INTO cve VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET severity = max(severity, excluded.severity)",
                [(cve, severity) for cve in cves],
            )
        if rows:
            self.newest = max(self.newest, record.modified[:10])


def _copy(database: sqlite3.Connection, date: str, ignored: int) -> Counts:
    tables = TABLES.replace("CREATE TABLE ", "CREATE TABLE result.")
    database.executescript(
        f"PRAGMA result.application_id={APPLICATION_ID}; PRAGMA result.user_version={VERSION};"
        f"PRAGMA result.journal_mode=OFF; PRAGMA result.synchronous=OFF; {tables} BEGIN; {_COPY}"
    )
    database.execute("INSERT INTO result.fact VALUES (?, ?)", (DATE, date))
    database.execute("COMMIT")
    systems = database.execute("SELECT name, advisories FROM result.system ORDER BY name").fetchall()
    (advisories,) = database.execute("SELECT count(*) FROM result.advisory").fetchone()
    database.execute("DETACH result")
    return Counts(advisories, systems, date, ignored)
