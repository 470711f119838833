"""A catalog in a PostgreSQL with a replica: its URL names both hosts, and after a failover the second is used."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from douane.catalog import Catalog, ImportRequest, waking
from douane.errors import CatalogError
from support.network import Host, hosts
from support.processes import SECONDS
from support.replicated_postgres import ReplicatedPostgres
from support.waiting import until

pytestmark = pytest.mark.machines


@pytest.fixture
def network() -> Iterator[dict[str, Host]]:
    with hosts("first", "second", "worker") as network:
        yield network


@pytest.fixture
def pair(network: dict[str, Host]) -> Iterator[ReplicatedPostgres]:
    with ExitStack() as stack:
        pair = ReplicatedPostgres(network["first"], network["second"])
        stack.callback(pair.close)
        pair.start()
        yield pair


def created(catalog: Catalog) -> str | None:
    try:
        return catalog.create_image(name="n").id
    except CatalogError:
        return None


def test_images_survive_a_failover_and_the_catalog_finds_the_new_primary(
    network: dict[str, Host], pair: ReplicatedPostgres
) -> None:
    with network["worker"].inside(), Catalog(pair.create("douane")) as catalog:
        image_ids = [catalog.create_image(name="n").id for _ in range(5)]
        pair.fail_over()
        image_ids.append(until("the new primary is used", lambda: created(catalog)))
        pair.restore_replica()
        pair.fail_over()  # back, with the data of the first failover
        image_ids.append(until("the first host is used again", lambda: created(catalog)))
        assert [catalog.image(image_id).id for image_id in image_ids] == image_ids


def test_waking_finds_the_primary_among_several_hosts(
    network: dict[str, Host], pair: ReplicatedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "RETRY_SECONDS", 0.1)
    url = pair.create("douane")
    with network["worker"].inside(), Catalog(url) as catalog:
        listener = waking.listen(url)
        assert listener is not None
        try:
            for fail_over in (lambda: None, pair.fail_over):
                fail_over()
                assert select.select([listener.fd], [], [], SECONDS)[0], "it listens: it rings once by itself"
                listener.drain()
                image_id = until("the primary is used", lambda: created(catalog))
                source = {"url": "http://x"}
                catalog.begin_queued(
                    image_id, method="web-download", plan={}, request=ImportRequest(stores=("a",)), source=source
                )
                assert select.select([listener.fd], [], [], SECONDS)[0], "it rings for a task"
                listener.drain()
        finally:
            listener.close()


def test_a_connection_over_a_line_that_is_cut_is_given_up(network: dict[str, Host], pair: ReplicatedPostgres) -> None:
    worker, database = network["worker"], pair.primary.host
    results: list[CatalogError | None] = []
    with worker.inside(), Catalog(pair.create("douane")) as catalog:
        image_id = catalog.create_image(name="n").id

        def read() -> None:
            try:
                catalog.image(image_id)
            except CatalogError as error:
                results.append(error)
            else:
                results.append(None)

        worker.cut(database, pair.replica.host)
        reader = threading.Thread(target=read)
        reader.start()
        # Without a bound, TCP sends again for a quarter of an hour: the thread of heartbeats, say, would wait so long.
        reader.join(SECONDS)
        assert not reader.is_alive()
        assert isinstance(results[0], CatalogError)
        worker.mend(database, pair.replica.host)
        assert until("the line is used again", lambda: created(catalog))


def test_a_transaction_whose_client_is_gone_without_a_word_releases_its_rows(
    network: dict[str, Host], pair: ReplicatedPostgres
) -> None:
    url = pair.create("douane")
    hosts = (pair.primary.host, pair.replica.host)
    with network["worker"].inside(), Catalog(url) as stopped:
        image_id = stopped.create_image(name="n").id
        with pytest.raises(CatalogError), stopped._database.write() as connection:
            connection.exec_driver_sql("UPDATE images SET name = 'x'")
            network["worker"].cut(*hosts)  # as if the machine were stopped, or gone
            try:
                with pair.primary.host.inside(), Catalog(url) as second_catalog:
                    image = until("the row is free", lambda: renamed(second_catalog, image_id))
                    assert image == "y"
            finally:
                network["worker"].mend(*hosts)
        assert stopped.image(image_id).name == "y"


def renamed(catalog: Catalog, image_id: str) -> str | None:
    from douane.catalog.query import SetField

    try:
        return catalog.edit(image_id, [SetField("name", "y")]).name
    except CatalogError:
        return None
