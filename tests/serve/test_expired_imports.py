"""An import whose record has expired: its tasks are gone, and what it said of the image stays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from sqlalchemy import func, select

from douane.catalog import Catalog
from douane.catalog.schema import reports
from support.planted_packages import image_of, planted_tree
from support.serve import Serve, serving
from support.waiting import until

CONFIG = """
[[plugin]]
name = "packages"
use = "packages"

[serve]
task_expiry = "1s"
staged_expiry = "1s"
"""


def rescanned(serve: Serve, config: Path) -> dict[str, int]:
    """The counts of a rescan of the service's images."""
    words = [sys.executable, "-m", "douane", "rescan", "--json", "--home", str(serve.home), "-c", str(config)]
    summary: dict[str, int] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return summary


def reports_in(home: Path) -> int:
    with Catalog(home / "catalog.sqlite3") as catalog, catalog._database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(reports)).scalar_one())


def test_its_bill_and_its_verdicts_live_as_long_as_the_image(tmp_path: Path) -> None:
    config = tmp_path / "plan.toml"
    config.write_text(CONFIG)
    disk = image_of(planted_tree(), tmp_path)
    with serving(tmp_path / "home", config) as serve:
        image = serve.create()
        headers = {"Content-Type": "application/octet-stream"}
        response = serve.client.put(f"/v2/images/{image}/file", content=disk.read_bytes(), headers=headers)
        assert response.status_code == 204, response.text
        until("the import expires", lambda: not serve.tasks(image))
        assert serve.client.get("/v2/tasks").json()["tasks"] == []
        bill = serve.client.get(f"/v2/images/{image}/sbom")
        assert bill.status_code == 200, bill.text
        assert len(bill.json()["components"]) == 4
        (serve.home / "store").rename(tmp_path / "away")
        summary = rescanned(serve, config)
        (tmp_path / "away").rename(serve.home / "store")
        assert (summary["images"], summary["unchanged"], summary["read"]) == (1, 1, 0)
        assert reports_in(serve.home) == 1
        assert serve.client.delete(f"/v2/images/{image}").status_code == 204
    assert reports_in(serve.home) == 0
