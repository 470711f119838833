"""PostgreSQL wakes workers: a task that waits is noticed at once, and a connection that was lost is made again."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url

from douane.catalog import Catalog, ImportRequest, waking
from douane.catalog.waking import TaskListener, listen
from support.catalog import PLAN, download, record_staged
from support.catalog_servers import on
from support.glance.postgres import Postgres
from support.pgbouncer import pooled
from support.processes import SECONDS
from support.waiting import until

ENDED = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'douane-listener'"


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with on(postgres) as created:
        yield created


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog(url) as opened:
        yield opened


@pytest.fixture
def listener(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskListener]:
    monkeypatch.setattr(waking, "RETRY_SECONDS", 0.01)
    opened = listen(url)
    assert opened is not None
    try:
        assert rings(opened), "it listens"
        yield opened
    finally:
        opened.close()


def rings(listener: TaskListener) -> bool:
    ready = bool(select.select([listener.fd], [], [], SECONDS)[0])
    listener.drain()
    return ready


@pytest.mark.libraries
def test_behind_a_pool_nobody_relies_on_notifications(postgres: Postgres) -> None:
    with on(postgres) as direct, pooled(postgres, make_url(direct).database, connections=2) as url:
        for place, is_listening in ((direct, True), (url, False)):
            with contextlib.closing(TaskListener(place)) as listener:
                assert rings(listener), "it listens"
                assert listener.is_listening == is_listening


@pytest.mark.libraries
def test_every_way_to_wait_for_a_worker_wakes_one(catalog: Catalog, listener: TaskListener) -> None:
    download(catalog)
    assert rings(listener)
    claimed = catalog.claim("w")
    assert claimed is not None
    catalog.release(claimed)
    assert rings(listener)
    image = catalog.create_image(name="y")
    upload = {"method": "glance-direct", "plan": PLAN, "worker": "door", "request": ImportRequest()}
    record_staged(catalog, catalog.begin_upload(image.id, **upload), store="a")
    catalog.request_import(image.id, request=ImportRequest(stores=("b",)), plan=PLAN, worker="door")
    assert rings(listener)
    assert not select.select([listener.fd], [], [], 0)[0], "nothing else rings"


@pytest.mark.libraries
def test_a_lost_connection_is_made_again(catalog: Catalog, listener: TaskListener, url: str) -> None:
    engine = create_engine(url.replace("psycopg2", "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        assert connection.exec_driver_sql(ENDED).scalar_one() == 1
    engine.dispose()
    assert rings(listener), "it says that something may have come meanwhile"
    download(catalog)
    assert rings(listener)


@pytest.mark.libraries
def test_a_listener_that_is_closed_leaves_no_connection(catalog: Catalog, listener: TaskListener, url: str) -> None:
    listener.close()
    engine = create_engine(url.replace("psycopg2", "psycopg"), isolation_level="AUTOCOMMIT")
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'douane-listener'"
    with engine.connect() as connection:
        until("it is gone", lambda: connection.exec_driver_sql(query).scalar_one() == 0)
    engine.dispose()


@pytest.mark.parametrize("place", ["/var/lib/douane/catalog.sqlite3", "sqlite:////var/lib/catalog", "mariadb://h/d"])
def test_other_databases_wake_nobody(place: str) -> None:
    assert listen(place) is None
