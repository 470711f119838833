"""`douane rescan` after an update of the database: judged by the inventories on record, and no image is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.advisories.building import build
from douane.catalog import Catalog
from douane.declared import DeclaredImage
from douane.engine import RunOptions, load_plan, open_source
from douane.imports import Home, import_image
from douane.imports.service_stores import open_stores
from douane.imports.settings import load_settings
from douane.plugins.packages import Packages
from douane.plugins.packages.clock import today
from douane.rescan import Rescan, RescanOptions, State, Summary
from douane.rescan.catalog_place import CatalogPlace
from douane.sandbox import Tier
from douane_plugin.testing import run
from support.planted_packages import ADVISORIES, STATUS, WHEEL, image_of, osv_zip, planted_tree

TREES = {"old": planted_tree(STATUS, **WHEEL), "new": planted_tree(STATUS.replace("3.0.1-1", "3.0.9-1"), **WHEEL)}


class Site:
    """Two images that were let in before anybody knew of CVE-2024-1."""

    def __init__(self, place: Path) -> None:
        self.place, self.home = place, place / "home"
        self.progress: list[int] = []
        self.know(ADVISORIES[1:])
        config = place / "plan.toml"
        config.write_text('[[plugin]]\nname = "packages"\nuse = "packages"\ngrants = { cve = "file:cve.sqlite" }\n')
        self.plan = load_plan(str(config))
        home = Home(self.home)
        for name, tree in TREES.items():
            (place / name).mkdir()
            source = open_source(str(image_of(tree, place / name)))
            assert import_image(home, self.plan, DeclaredImage(name=name), source, RunOptions()).image is not None
        home.close()

    def know(self, advisories: list[dict[str, object]]) -> None:
        build([str(osv_zip(self.place / "osv.zip", advisories))], str(self.place / "cve.sqlite"), today())

    def rescan(self, tier: Tier) -> Summary:
        said = self.progress = []
        run = RunOptions(tier=tier)
        options = RescanOptions(tier=tier, run=run, progress=lambda summary: said.append(summary.images))
        with Catalog(self.home / "catalog.sqlite3") as catalog, State(self.place / "state") as state:
            place = CatalogPlace(catalog, open_stores(load_settings(None, self.home), catalog))
            return Rescan(place, self.plan, state, options).run()


@pytest.mark.parametrize("tier", [Tier.FULL, Tier.STRICT])
def test_the_verdicts_are_those_of_reading_and_no_image_is_read(
    tmp_path: Path, tier: Tier, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    (site.home / "store").rename(site.place / "away")
    summary = site.rescan(tier)
    assert (summary.unchanged, summary.rows) == (2, [])
    site.know(ADVISORIES)
    summary = site.rescan(tier)
    assert (summary.from_documents, summary.read, summary.accepted, summary.refused) == (2, 0, 1, 1)
    [row] = summary.rows
    read = run(Packages, site.place / "old" / "disk.img", grants={"cve": site.place / "cve.sqlite"})
    assert (row.name, row.outcome, row.code, row.message) == ("old", read.outcome, read.code, read.message)
    summary = site.rescan(tier)
    assert (summary.unchanged, summary.refused) == (2, 1), "and that verdict stands"
    assert site.progress == [], "the counts of the last page are those of all"
    site.know(ADVISORIES[1:])
    monkeypatch.setattr("douane.rescan.catalog_place.PAGE", 1)
    assert site.rescan(tier).accepted == 2, "the inventory outlives a refusal"
    assert site.progress == [1]
