"""The inspector `packages`: which packages of languages are the distribution's, by the lists of its package manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from douane.advisories.building import build
from douane.plugins.packages import Packages, owned_files
from douane.plugins.packages.clock import today
from douane_plugin.testing import guest_image, run
from support.planted_packages import advisory, affected, osv_zip, planted_tree

GEMS = "usr/lib/ruby/gems/3.1.0/specifications"
SITE = "usr/lib/python3.12/site-packages/jinja2-3.1.1.dist-info"
NODE = "usr/lib/node_modules/npm/package.json"
GEM = '  s.name = "rake".freeze\n  s.version = "13.0.6"\n'
FILES = {
    f"{GEMS}/rake-13.0.6.gemspec": GEM,
    f"{GEMS}/default/csv-3.2.2.gemspec": GEM.replace("rake", "csv"),
    f"{SITE}/METADATA": "Name: Jinja2\nVersion: 3.1.1\n\n",
    NODE: '{"name": "npm", "version": "1.0.0"}',
}
DEBIAN = planted_tree(**{path: text for path, text in FILES.items() if path.startswith(GEMS)})
ALPINE = {"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n", **FILES}


def dpkg_list(*paths: str) -> dict[str, str]:
    return {"var/lib/dpkg/info/libruby3.1:amd64.list": "/.\n" + "".join(f"/{path}\n" for path in paths)}


def apk_database(*paths: str) -> dict[str, str]:
    listed = "".join(f"F:{path.rpartition('/')[0]}\nR:{path.rpartition('/')[2]}\nZ:Q1\n" for path in paths)
    return {"lib/apk/db/installed": f"P:ruby\nV:3.3-r0\nA:x86_64\n{listed}\n"}


@pytest.fixture(scope="module")
def cve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without anything about languages."""
    folder = tmp_path_factory.mktemp("cve")
    systems = [affected(system, "no-such-package", "fixed 9") for system in ("Debian:12", "Alpine:v3.20")]
    build([str(osv_zip(folder / "osv.zip", [advisory("X-1", *systems)]))], str(folder / "cve.sqlite"), today())
    return folder / "cve.sqlite"


def inspect(cve: Path, tree: dict[str, str]) -> Any:
    return run(Packages, guest_image(tree), grants={"cve": cve})


def test_what_the_lists_of_the_system_have_is_the_distributions(cve: Path) -> None:
    """A Debian or an Alpine with Ruby, npm and modules of Python, by its own packages, is covered by its advisories."""
    assert inspect(cve, {**DEBIAN, **dpkg_list(*DEBIAN)}).outcome == "accepted"
    assert inspect(cve, {**ALPINE, **apk_database(*FILES)}).outcome == "accepted"


@pytest.mark.parametrize("path", FILES)
def test_what_is_beside_it_is_not(cve: Path, path: str) -> None:
    """`gem install` of Alpine writes into the folder of the distribution, and files without a mark may be anybody's."""
    trees = [{**ALPINE, **apk_database(*(each for each in FILES if each != path))}]
    if path in DEBIAN:
        trees.append({**DEBIAN, **dpkg_list(*(each for each in DEBIAN if each != path))})
    for tree in trees:
        result = inspect(cve, tree)
        assert (result.outcome, result.code) == ("incomplete", "packages-uncovered")
        assert "1 packages" in result.message


def test_a_mark_of_pip_counts_more_than_the_list(cve: Path) -> None:
    tree = {**ALPINE, **apk_database(*FILES), f"{SITE}/INSTALLER": "pip\n"}
    assert inspect(cve, tree).code == "packages-uncovered"


@pytest.mark.parametrize("bound", ["MAX_LISTED", "MAX_LINE"])
def test_lists_that_are_too_long_own_nothing(cve: Path, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(owned_files, bound, 10)
    monkeypatch.setattr(owned_files, "_PIECE", 30)
    assert inspect(cve, {**DEBIAN, **dpkg_list(*DEBIAN)}).code == "packages-uncovered"
