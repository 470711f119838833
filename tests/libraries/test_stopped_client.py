"""A client of the database that stops in the middle of a transaction: others do not wait for it for ever."""

from __future__ import annotations

import pytest

from douane.catalog import Catalog
from douane.catalog.query import SetField
from douane.errors import CatalogError
from support.catalog_servers import on, running
from support.waiting import until

pytestmark = pytest.mark.libraries


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_rows_of_a_stopped_client_are_free_again(kind: str) -> None:
    with running(kind) as server, on(server) as url, Catalog(url) as stopped, Catalog(url) as other:
        image_id = stopped.create_image(name="n").id

        def rename() -> bool:
            try:
                return other.edit(image_id, [SetField("name", "other")]).name == "other"
            except CatalogError:
                return False

        with pytest.raises(CatalogError), stopped._database.write() as connection:
            connection.exec_driver_sql("UPDATE images SET name = 'stopped'")
            until("the row is free", rename)
        assert stopped.image(image_id).name == "other"
