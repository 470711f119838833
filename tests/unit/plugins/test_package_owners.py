"""The inspector `packages`: which packages of languages are the distribution's, by the lists of its package manager."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from guest_packages import FILES_CONTENT, FILES_SQLITE, headers, ndb_of

from douane.advisories.building import build
from douane.plugins.packages import Packages
from douane.plugins.packages.clock import today
from douane.plugins.packages.inventory import inventory_from
from douane_guest.packages import installed
from douane_plugin.testing import guest_image, run
from support.planted_packages import STATUS, advisory, affected, osv_zip

Tree = Mapping[str, str | bytes]
DIST = "usr/lib/python3/dist-packages/jinja2-3.1.1.dist-info"
SITE = "usr/lib/python3.12/site-packages/jinja2-3.1.1.dist-info"
CONTENT = FILES_CONTENT.decode()
"""Of each file that describes a package: as JSON it is one of Node, and Python's and Ruby's have their names from their
paths."""

LANGUAGES = ("python", "node", "gem")


def dpkg_list(*paths: str) -> Tree:
    md5 = hashlib.md5(FILES_CONTENT).hexdigest()
    return {"var/lib/dpkg/info/libruby3.1:amd64.md5sums": "".join(f"{md5}  {path}\n" for path in paths)}


def apk_database(*paths: str) -> Tree:
    sha1 = base64.b64encode(hashlib.sha1(FILES_CONTENT).digest()).decode()
    listed = "".join(f"F:{path.rpartition('/')[0]}\nR:{path.rpartition('/')[2]}\nZ:Q1{sha1}\n" for path in paths)
    return {"lib/apk/db/installed": f"P:ruby\nV:3.3-r0\nA:x86_64\n{listed}\n"}


def pacman_list(*paths: str) -> Tree:
    folder, sha256 = "var/lib/pacman/local/ruby-3.3-1", hashlib.sha256(FILES_CONTENT).hexdigest()
    lines = "".join(f"./{path} time=1.0 sha256digest={sha256}\n" for path in paths)
    return {
        f"{folder}/desc": "%NAME%\nruby\n\n%VERSION%\n3.3-1\n",
        f"{folder}/mtree": gzip.compress(f"#mtree\n{lines}".encode()),
    }


def rpm_database(*_: str) -> Tree:
    """The real one, whose packages have all files of `ROCKY`, and none of `PLANTED`."""
    return {"var/lib/rpm/rpmdb.sqlite": FILES_SQLITE}


class Distribution(NamedTuple):
    """A system, the files of packages of languages as it has them, and how it lists them."""

    system: Tree
    files: Mapping[str, str]
    lists: Any


DEBIAN = Distribution(
    {"etc/os-release": "ID=debian\nVERSION_ID=12\n", "var/lib/dpkg/status": STATUS.replace("telnetd", "telnet")},
    {
        f"{DIST}/METADATA": CONTENT,
        "usr/lib/python3/dist-packages/rpm-4.18.egg-info": CONTENT,
        "usr/share/nodejs/npm/package.json": CONTENT,
        "usr/lib/ruby/gems/3.1.0/specifications/rake-13.0.6.gemspec": CONTENT,
        "usr/lib/ruby/gems/3.1.0/specifications/default/csv-3.2.2.gemspec": CONTENT,
        "usr/share/rubygems-integration/all/specifications/rack-2.gemspec": CONTENT,
    },
    dpkg_list,
)
COMMON = {
    f"{SITE}/METADATA": CONTENT,
    "usr/lib/node_modules/npm/package.json": CONTENT,
    "usr/lib/ruby/gems/3.1.0/specifications/rake-13.0.6.gemspec": CONTENT,
}
ALPINE = Distribution({"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n"}, COMMON, apk_database)
ARCH = Distribution({"etc/os-release": "ID=arch\n"}, COMMON, pacman_list)
ROCKY = Distribution(
    {"etc/os-release": "ID=rocky\nVERSION_ID=9.4\n"},
    {
        f"{SITE}/METADATA": CONTENT,
        f"{SITE}/INSTALLER": "rpm\n",
        "usr/lib/node_modules_22/npm/package.json": CONTENT,
        "usr/lib/node_modules_22/npm/node_modules/tar/package.json": CONTENT,
        "usr/share/gems/specifications/rake-13.0.6.gemspec": CONTENT,
        "usr/lib64/ruby/gems/2.5.0/specifications/rack-2.0.gemspec": CONTENT,
    },
    rpm_database,
)
LINKS = {"usr/lib/node_modules": "node_modules_22"}
"""As in Fedora and RHEL 10."""

DISTRIBUTIONS = {"debian": DEBIAN, "alpine": ALPINE, "arch": ARCH, "rocky": ROCKY}
PLANTED = {
    "usr/lib/python3.12/site-packages/evil-1.dist-info/METADATA": CONTENT,
    "usr/lib64/python3.12/site-packages/evil-2.egg-info": CONTENT,
    "usr/lib/python3/dist-packages/evil-3.dist-info/METADATA": CONTENT,
    "usr/share/nodejs/evil/package.json": CONTENT,
    "usr/lib64/node_modules/evil/package.json": CONTENT,
    "usr/share/gems/specifications/evil-1.gemspec": CONTENT,
    "usr/lib64/ruby/gems/2.5.0/specifications/default/evil-1.gemspec": CONTENT,
    "usr/share/rubygems-integration/all/specifications/evil-1.gemspec": CONTENT,
}
"""In folders of distributions, without a mark, and in no list."""


def image_of(name: str, **more: Any) -> bytes:
    system, files, lists = DISTRIBUTIONS[name]
    tree = {**system, **files, **lists(*files), **more.pop("files", {})}
    return guest_image(tree, links=LINKS if name == "rocky" else None, **more)


def owners(image: bytes) -> tuple[set[str], set[str]]:
    """The paths of packages of languages: those that are the distribution's, and those that are not."""
    result = run(Packages, image, config={"unread": "warn"})
    system = inventory_from(result.documents["inventory"]).systems[0]
    packages = [package for package in system.packages if package.kind in LANGUAGES]
    paths = {package.path for package in packages}
    assert len(paths) == len(packages), "a package is there twice"
    distribution = {package.path for package in packages if package.of_distribution}
    return distribution, paths - distribution


def listed(files: Iterable[str], name: str) -> set[str]:
    """The paths as the inspector tells them: those behind the link by the link."""
    names = (path for path in files if not path.endswith("INSTALLER"))
    return {"/" + (path.replace("node_modules_22", "node_modules") if name == "rocky" else path) for path in names}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_what_the_lists_of_the_system_have_is_the_distributions(name: str) -> None:
    assert owners(image_of(name)) == (listed(DISTRIBUTIONS[name].files, name), set())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_what_stands_beside_it_in_the_folders_of_the_distribution_is_not(name: str) -> None:
    distribution, foreign = owners(image_of(name, files=PLANTED))
    assert distribution == listed(DISTRIBUTIONS[name].files, name)
    assert foreign == {f"/{path}" for path in PLANTED}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_list_has_no_say_outside_of_the_folders_of_the_distribution(name: str) -> None:
    """A package of somebody else may install into /usr/local, and NodeSource's for Debian does into /usr/lib."""
    files = {
        "usr/local/lib/python3.11/site-packages/jinja2-3.1.1.dist-info/METADATA": CONTENT,
        "usr/local/lib/node_modules/npm/package.json": CONTENT,
        "var/lib/gems/3.1.0/specifications/rake-13.0.6.gemspec": CONTENT,
    } | ({"usr/lib/node_modules/npm/package.json": CONTENT} if name == "debian" else {})
    lists = {} if name == "rocky" else DISTRIBUTIONS[name].lists(*files)
    distribution, foreign = owners(image_of(name, files={**files, **lists}))
    assert {f"/{path}" for path in files} <= foreign
    assert not distribution & foreign


@pytest.mark.parametrize("name", ["alpine", "arch", "rocky"])
def test_a_mark_of_pip_counts_more_than_the_list(name: str) -> None:
    distribution, foreign = owners(image_of(name, files={f"{SITE}/INSTALLER": "pip\n"}))
    assert foreign == {f"/{SITE}/METADATA"}
    assert len(distribution) >= 2


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_what_somebody_has_written_over_it_is_not(name: str) -> None:
    """`npm install -g npm` of Alpine and Arch puts another version into the same file."""
    path = next(path for path in DISTRIBUTIONS[name].files if path.endswith("/npm/package.json"))
    distribution, foreign = owners(image_of(name, files={path: CONTENT.replace("1.0.0", "2.0.0")}))
    assert foreign == listed([path], name)
    assert len(distribution) >= 2


@pytest.mark.parametrize(("vendor", "is_same"), [(b"Fedora Modules", True), (b"NodeSource Inc", False)])
def test_npm_of_another_vendor_is_not(vendor: bytes, is_same: bool) -> None:
    """NodeSource's for RHEL is where RHEL's would be. What is beside npm has another digest."""
    npm, *rest = sorted(headers(FILES_SQLITE), key=lambda header: b"\0npm\0" not in header[:4000])
    assert b"/usr/lib/node_modules_22/npm/" in npm
    database = ndb_of([npm.replace(b"Fedora Project", vendor), *rest])
    tree = {**ROCKY.system, **ROCKY.files, "var/lib/rpm/Packages.db": database}
    distribution, foreign = owners(guest_image(tree, links=LINKS))
    assert len(distribution) == (5 if is_same else 3)
    assert {path.split("/")[3] for path in foreign} == (set() if is_same else {"node_modules"})


def test_a_link_to_what_the_distribution_has_leads_to_its_package_and_to_no_other() -> None:
    """Arch has /usr/lib64 as a link to /usr/lib; a link elsewhere shows what is there."""
    links = {"usr/lib64": "lib", "usr/lib/python3.9": "../../opt/python"}
    planted = {"opt/python/site-packages/jinja2-3.1.1.dist-info/METADATA": CONTENT}
    distribution, foreign = owners(
        guest_image({**ARCH.system, **COMMON, **pacman_list(*COMMON), **planted}, links=links)
    )
    assert distribution == listed(COMMON, "arch")
    assert foreign == {"/opt/python/site-packages/jinja2-3.1.1.dist-info/METADATA"}


def test_without_a_list_that_can_be_read_nothing_is_the_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert owners(guest_image({**DEBIAN.system, **DEBIAN.files}))[0] == set()
    damaged = guest_image({**ROCKY.system, **ROCKY.files, "var/lib/rpm/rpmdb.sqlite": FILES_SQLITE[:8192]})
    assert owners(damaged)[0] == set()
    monkeypatch.setattr(installed, "MAX_LIST", 10)
    result = run(Packages, image_of("debian"))
    assert (result.outcome, result.code) == ("incomplete", "guest-too-much")
    assert "the lists of files of dpkg" in result.message


@pytest.fixture(scope="module")
def cve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without anything about languages."""
    folder = tmp_path_factory.mktemp("cve")
    names = ("Debian:12", "Alpine:v3.20", "Rocky Linux:9")
    systems = [affected(system, "no-such-package", "fixed 9") for system in names]
    build([str(osv_zip(folder / "osv.zip", [advisory("X-1", *systems)]))], str(folder / "cve.sqlite"), today())
    return folder / "cve.sqlite"


@pytest.mark.parametrize("name", ["debian", "alpine", "rocky"])
def test_advisories_of_languages_are_for_what_is_not_the_distributions(cve: Path, name: str) -> None:
    assert run(Packages, image_of(name), grants={"cve": cve}).outcome == "accepted"
    result = run(Packages, image_of(name, files=PLANTED), grants={"cve": cve})
    assert (result.outcome, result.code) == ("incomplete", "packages-uncovered")
    assert "3 packages" in result.message
