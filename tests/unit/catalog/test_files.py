"""The database file: old, new, foreign, damaged, without permission, on a full disk."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, make_url

from douane.catalog import Catalog, database
from douane.catalog.database import Database
from douane.catalog.migrate import MIGRATIONS, upgrade
from douane.catalog.postgresql import PostgreSQL
from douane.catalog.query import ImageQuery
from douane.catalog.schema import metadata
from douane.errors import CatalogError
from support.catalog import begin, make_ready

OLD = Path(__file__).parent / "databases"
LATER = f"{int(database.HEAD) + 1:04}"
ADDS_A_COLUMN = """
import sqlalchemy as sa
from alembic import op

revision = "{later}"
down_revision = "{head}"


def upgrade():
    op.add_column("images", sa.Column("colour", sa.String(16), server_default="grey"))
    {end}
"""


INCOMPATIBLE = f"op.execute(\"UPDATE marks SET value = '{LATER}' WHERE name = 'oldest_revision'\")"


def tables(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(sql.split()) for name, sql in rows if name != "alembic_version"}


def structure(path: Path) -> dict[str, object]:
    """Tables, columns in order, constraints and indexes. A column that was added later stands at the end of the SQL."""
    engine = create_engine(f"sqlite:///{path}")
    inspector = inspect(engine)
    names = [name for name in inspector.get_table_names() if name != "alembic_version"]
    declared: dict[str, object] = {
        name: (
            [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name),
            inspector.get_foreign_keys(name),
            sorted((check["name"], check["sqltext"]) for check in inspector.get_check_constraints(name)),
        )
        for name in names
    }
    engine.dispose()
    return declared | {name: sql for name, sql in tables(path).items() if "INDEX" in sql}


def refused(path: Path | str) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        Catalog(path)
    return caught.value


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in names}


def test_the_migrations_make_the_declared_tables(tmp_path: Path) -> None:
    Database(tmp_path / "migrated", migrate=upgrade).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'declared'}")
    metadata.create_all(engine)
    engine.dispose()
    assert structure(tmp_path / "migrated") == structure(tmp_path / "declared")
    newest = max(file.name for file in (MIGRATIONS / "versions").glob("r*.py"))
    assert newest.startswith(f"r{database.HEAD}_")


def test_a_new_catalog_is_what_the_migrations_make(tmp_path: Path) -> None:
    """A new revision needs a new file beside `migrations/sqlite/0010.sql`: its first line says how it is made."""
    Catalog(tmp_path / "new").close()
    Database(tmp_path / "migrated", migrate=upgrade).close()
    assert tables(tmp_path / "new") == tables(tmp_path / "migrated")
    assert rows(tmp_path / "new") == rows(tmp_path / "migrated")


@pytest.mark.parametrize("old", sorted(OLD.glob("*.sql")), ids=lambda file: file.stem)
def test_catalogs_of_all_earlier_releases_open_with_their_content(tmp_path: Path, old: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(old.read_text())
    with Catalog(path) as catalog:
        images = {image.name: image for image in catalog.images(include_deleted=True)}
        assert {name: image.status for name, image in images.items()} == {
            "waiting": "queued",
            "moving": "importing",
            "in": "active",
            "asleep": "deactivated",
            "gone": "deleted",
        }
        assert (images["waiting"].code, images["waiting"].failed_stores) == ("virus", ["file"])
        assert images["in"].properties == {"mine": "1", "format.seen": "qcow2"}
        assert (images["in"].size, images["in"].digests) == (5, {"sha256": "ab" * 32})
        first = old.stem == "0001"
        assert {image.visibility for image in images.values()} == {"private" if first else "shared"}
        assert images["in"].tags == ([] if first else ["kept"])
        assert [member.project for member in catalog.members(images["waiting"].id)] == ([] if first else ["you"])
        newest = ImageQuery(everything=True, visibility="all", text={"os_hash_value": ("ab" * 32,)})
        assert [image.name for image in catalog.find_images(newest)] == ["asleep", "in"]
        assert [image.stores for image in images.values()] == [[], [], ["file"], ["file"], []]
        (task,) = catalog.unfinished()
        assert (task.stores, task.owner, task.import_req) == (["file"], None, None)
        assert catalog.activate(make_ready(catalog, catalog.take_over(task))).status == "active"


def test_a_catalog_of_a_later_release_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        image = catalog.create_image(name="kept", properties={"a": "b"})
    with monkeypatch.context() as later:
        later.setattr(database, "HEAD", LATER)
        later_release = _later_migrations(tmp_path / "50% later", INCOMPATIBLE)
        Database(path, migrate=partial(upgrade, directory=later_release)).close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name, colour FROM images").fetchall() == [("kept", "grey")]
    content = path.read_bytes()
    error = refused(path)
    assert error.code == "catalog-newer"
    assert f"(revision {LATER}; this one knows up to {database.HEAD}); upgrade Douane" in str(error)
    assert "made by a later release of Douane" in str(error)
    assert path.read_bytes() == content
    assert image.name == "kept"


def test_an_older_release_goes_on_with_a_catalog_that_a_compatible_one_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as running:
        with monkeypatch.context() as later:
            later.setattr(database, "HEAD", LATER)
            Database(path, migrate=partial(upgrade, directory=_later_migrations(tmp_path / "later", "pass"))).close()
        running.create_image(name="of one that ran")
        with Catalog(path) as starting:
            starting.create_image(name="of one that starts")
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, colour FROM images ORDER BY name").fetchall()
        assert rows == [("of one that ran", "grey"), ("of one that starts", "grey")]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(LATER,)]


def test_a_failed_upgrade_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.sqlite"
    with Catalog(path) as catalog:
        catalog.create_image(name="kept")
    original = tables(path)
    with monkeypatch.context() as later:
        later.setattr(database, "HEAD", LATER)
        broken = partial(upgrade, directory=_later_migrations(tmp_path / "later", "raise ZeroDivisionError"))
        with pytest.raises(ZeroDivisionError):
            Database(path, migrate=broken)
    assert tables(path) == original
    with Catalog(path) as catalog:
        assert [image.name for image in catalog.images()] == ["kept"]


def _later_migrations(directory: Path, end: str) -> Path:
    shutil.copytree(MIGRATIONS, directory, ignore=shutil.ignore_patterns("__pycache__"))
    newest = int(LATER) - 1
    content = ADDS_A_COLUMN.format(end=end, later=LATER, head=f"{newest:04}")
    (directory / "versions" / f"r{LATER}_colour.py").write_text(content)
    return directory


def test_an_empty_file_becomes_a_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.touch()
    with Catalog(path) as catalog:
        assert catalog.images() == []


def test_the_database_of_another_program_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    content = path.read_bytes()
    error = refused(path)
    assert error.code == "catalog-foreign"
    assert "tables that are not Douane's (bookmarks)" in str(error)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('1975ea83b712')")
    assert refused(path).code == "catalog-foreign"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert path.read_bytes()[:16] == content[:16]


@pytest.mark.parametrize("content", [b"hello, I am no database at all" * 200, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(content)
    error = refused(path)
    assert error.code == "catalog-damaged"
    assert str(path) in str(error)
    assert path.read_bytes() == content


def test_paths_that_cannot_hold_a_catalog_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file" / "catalog.sqlite", Path("/proc/catalog.sqlite")):
        error = refused(place)
        assert error.code == "catalog-unwritable"
        assert str(place) in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "oracle://u:secret@h/d",
        "mssql+x://h/d",
        "mysql://u:secret@h:port/d",
        "postgresql://u:secret@h:port/d",
        "://u:secret@h",
        "sqlite://",
        "sqlite:///:memory:",
        "://",
    ],
)
def test_other_databases_are_refused_without_showing_the_password(url: str) -> None:
    error = refused(url)
    assert error.code == "bad-value"
    assert "secret" not in shown(error)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@127.0.0.1:1/d",
        "postgresql://127.0.0.1:1/d?user=u&password=secret",
        "mysql://u:secret@127.0.0.1:1/d",
        "mariadb://127.0.0.1:1/d?user=u&password=secret",
    ],
)
def test_a_server_that_cannot_be_reached_is_named_without_the_password(url: str) -> None:
    error = refused(url)
    assert error.code == "catalog-io"
    assert str(error).startswith("the catalog d on 127.0.0.1 failed (")
    assert "secret" not in shown(error)


@pytest.mark.parametrize(("scheme", "driver"), [("postgresql", "psycopg"), ("mariadb", "pymysql")])
def test_without_the_driver_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, driver: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    error = refused(f"{scheme}://u:secret@h/d")
    assert f"pip install '.[{scheme}]'" in str(error)


def test_a_file_of_options_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    error = refused(f"mysql://h/d?read_default_file={tmp_path}/my.cnf")
    assert f"the file {tmp_path}/my.cnf that read_default_file names" in str(error)
    assert "No such file" in str(error)


def test_a_service_that_the_file_of_postgresql_does_not_have_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text("[other]\nhost=127.0.0.1\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    error = refused("postgresql:///?service=douane")
    assert str(error).startswith("the catalog of the service douane on this machine failed (")
    assert str(error).endswith("write the service into the file that PGSERVICEFILE names, or correct its name")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ('FATAL:  password authentication failed for user "u"', "correct the user or the password"),
        ("fe_sendauth: no password supplied", "write the password into the file"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7"', "let the server take connections"),
        ('FATAL:  role "u" does not exist', "make the user"),
        ('FATAL:  database "d" does not exist', "make the database"),
        ('service file "/etc/none" not found', "set PGSERVICEFILE"),
        ("FATAL:  the database system is starting up", "see that the server runs"),
        ("Connection refused", "see that the server runs"),
    ],
)
def test_a_refused_connection_to_postgresql_says_what_to_do(words: str, advice: str) -> None:
    server = PostgreSQL(make_url("postgresql://h/d"))
    error = server.explain(OSError(f"connection failed: {words}"))
    assert error.code == "catalog-io"  # a process that runs waits for it
    assert f"{words}); {advice}" in str(error)


def shown(error: BaseException) -> str:
    """All that a traceback shows."""
    return "".join(traceback.format_exception(error))


def test_a_url_names_the_same_file_as_a_path(tmp_path: Path) -> None:
    with Catalog(f"sqlite:///{tmp_path}/a%20b.sqlite") as catalog:
        image = catalog.create_image(name="x")
    with Catalog(tmp_path / os.listdir(tmp_path)[0]) as catalog:
        assert catalog.image(image.id) == image


def test_the_settings_of_sqlite_survive_a_power_cut(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.sqlite") as catalog, catalog._database.read() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 1, 30000]


def test_a_catalog_is_made_and_opened_without_alembic(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from douane.catalog import Catalog\n"
        "for _ in range(2):\n"
        "    Catalog(sys.argv[1]).close()\n"
        "print([name for name in sys.modules if name in ('alembic', 'sqlalchemy.dialects.postgresql')])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "catalog.sqlite")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_recipe_of_the_old_databases_still_works(tmp_path: Path) -> None:
    """The recipe of ``databases/*.sql``: run it with the code of a release, dump it, add it, never edit it."""
    path = tmp_path / "catalog.sqlite"
    make_example(path)
    with Catalog(path) as catalog:
        assert len(catalog.images(include_deleted=True)) == 5


def make_example(path: Path) -> None:
    """One image of every state that a release can reach."""
    with Catalog(path) as catalog:
        ids = {
            name: catalog.create_image(name=name, disk_format="raw", properties={"mine": "1"}).id
            for name in ("waiting", "moving", "in", "asleep", "gone")
        }
        catalog.fail(
            begin(catalog, ids["waiting"]), outcome="refused", code="virus", message="Eicar", failed_stores=["file"]
        )
        begin(catalog, ids["moving"])
        for name in ("in", "asleep"):
            catalog.activate(make_ready(catalog, begin(catalog, ids[name])))
        catalog.deactivate(ids["asleep"])
        catalog.add_tag(ids["in"], "kept")
        catalog.add_member(ids["waiting"], "you")
        catalog.delete(ids["gone"])


def test_only_the_owner_can_read_the_catalog(tmp_path: Path) -> None:
    with Catalog(tmp_path / "home" / "catalog.sqlite") as catalog:
        catalog.create_image(name="x")
        files = list((tmp_path / "home").iterdir())
        modes = {stat.S_IMODE(file.stat().st_mode) for file in files}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
    assert {file.name for file in files} >= {"catalog.sqlite", "catalog.sqlite-wal"}
    assert modes == {0o600}
