"""`douane serve` with its catalog in PostgreSQL: imports succeed, also after the server ended all connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from support.glance.postgres import Postgres
from support.serve import Serve, serving
from support.waiting import until

pytestmark = pytest.mark.libraries

CONFIG = """
[serve]
database = "{url}"
workers = 1

[[plugin]]
name = "limits"
use = "limits"
"""


@pytest.fixture
def url() -> Iterator[str]:
    with ExitStack() as stack:
        server = Postgres()
        stack.callback(server.stop)
        server.start()
        yield server.create("douane").replace("psycopg2", "psycopg")


def imported(service: Serve, content: bytes) -> str:
    """The id of a new image that was staged and imported."""
    image_id = service.create()
    octets = {"Content-Type": "application/octet-stream"}
    staged = service.client.put(f"/v2/images/{image_id}/stage", content=content, headers=octets)
    assert staged.status_code == 204, staged.text
    method = {"method": {"name": "glance-direct"}}
    requested = service.client.post(f"/v2/images/{image_id}/import", json=method)
    assert requested.status_code == 202, requested.text
    until("the image is active", lambda: service.image(image_id)["status"] == "active")
    assert service.client.get(f"/v2/images/{image_id}/file").content == content
    return image_id


def test_images_are_imported_also_after_all_connections_ended(tmp_path: Path, url: str) -> None:
    config = tmp_path / "douane.toml"
    config.write_text(CONFIG.format(url=url))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with serving(tmp_path / "home", config) as service:
        first = imported(service, os.urandom(300_000))
        with engine.connect() as connection:
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'douane'"
            assert connection.exec_driver_sql(ended).scalar_one() > 0
        second = imported(service, os.urandom(300_000))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM images WHERE status = 'active'")
        assert {row[0] for row in rows} == {first, second}
    engine.dispose()
    assert not list((tmp_path / "home").glob("*.sqlite*"))
