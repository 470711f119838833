"""How the statements of migrations are written for MariaDB: a second time they do nothing."""

import pytest

from douane.catalog.mariadb_migration import repeatable
from douane.errors import CatalogError

TABLE = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"


@pytest.mark.parametrize(
    ("statement", "instead"),
    [
        ("\nCREATE TABLE t (\n\tc TEXT\n)\n\n", f"CREATE TABLE IF NOT EXISTS t (\n\tc LONGTEXT\n) {TABLE}"),
        ("CREATE TABLE t (c BIGINT) ENGINE=InnoDB", "CREATE TABLE IF NOT EXISTS t (c BIGINT) ENGINE=InnoDB"),
        ("CREATE INDEX i ON t (c)", "CREATE INDEX IF NOT EXISTS i ON t (c)"),
        ("CREATE UNIQUE INDEX i ON t (c)", "CREATE UNIQUE INDEX IF NOT EXISTS i ON t (c)"),
        ("ALTER TABLE t ADD COLUMN c TEXT", "ALTER TABLE t ADD COLUMN IF NOT EXISTS c LONGTEXT"),
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS c BIGINT", "ALTER TABLE t ADD COLUMN IF NOT EXISTS c BIGINT"),
        (
            "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0)",
            "ALTER TABLE t ADD CONSTRAINT IF NOT EXISTS k CHECK (c > 0)",
        ),
        ("ALTER TABLE t DROP COLUMN c", "ALTER TABLE t DROP COLUMN IF EXISTS c"),
        ("ALTER TABLE t MODIFY c TEXT", "ALTER TABLE t MODIFY c LONGTEXT"),
        ("DROP INDEX i ON t", "DROP INDEX IF EXISTS i ON t"),
        ("\nDROP TABLE t", "DROP TABLE IF EXISTS t"),
        ("INSERT INTO t (c) VALUES (%(c)s)", "INSERT IGNORE INTO t (c) VALUES (%(c)s)"),
        ("UPDATE t SET c = 'TEXT'", "UPDATE t SET c = 'TEXT'"),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_a_statement_does_nothing_a_second_time(statement: str, instead: str) -> None:
    assert repeatable(statement) == instead
    assert repeatable(instead) == instead


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE t RENAME TO u", "RENAME TABLE t TO u", "TRUNCATE t", "LOCK TABLES t READ"],
)
def test_a_statement_that_cannot_be_repeated_is_refused(statement: str) -> None:
    with pytest.raises(CatalogError, match="cannot be repeated"):
        repeatable(statement)
