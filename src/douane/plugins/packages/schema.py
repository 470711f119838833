"""The database of advisories that `douane cve build` makes and the inspector `packages` asks."""

from __future__ import annotations

APPLICATION_ID = 0x44434556
VERSION = 1
"""In the header of the file (``PRAGMA application_id``, ``user_version``)."""

SEVERITIES = ("unknown", "low", "medium", "high", "critical")
"""A column `severity` has the position of the word."""

DATE = "date"
"""The fact that says of which day the advisories are, as ``2026-11-30``."""

INTRODUCED, FIXED, LAST_AFFECTED, LIMIT, EXACTLY = "i", "f", "l", "m", "="
"""What a bound in `ranges` begins with; the version follows. `ranges` is a list of lists of bounds in JSON;
`cves` has numbers with blanks between."""

TABLES = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE system (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, advisories INTEGER NOT NULL);
CREATE TABLE advisory (number INTEGER PRIMARY KEY, name TEXT NOT NULL, cves TEXT NOT NULL);
CREATE TABLE affected (system INTEGER NOT NULL, package TEXT NOT NULL, advisory INTEGER NOT NULL,
    severity INTEGER NOT NULL, ranges TEXT NOT NULL, PRIMARY KEY (system, package, advisory)) WITHOUT ROWID;
"""
