"""`douane rescan` of 1,000 images with `packages` after an update of its database: no image is read.

One image is imported, and its record is copied with other lists of packages. Each image is of one of four systems, as
that was on one of twelve days, of which each has another version of a tenth of the packages: 300 that all images have,
and 200 of 2,700 others. The store is moved away before the rescans, so an image that had to be read would be undecided.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from douane.advisories.building import build
from douane.plugins.packages.clock import today
from douane.plugins.packages.inventory import Inventory, Package, System, document_of

from .harness import Row, Settings

IMAGES, SECONDS = 1000, 5.0
PACKAGES, BASE, POOL = 500, 300, 3000
DAYS = 12
ADVISORIES = 20_000
REFUSED = 7
SYSTEMS = (("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04"))
ECOSYSTEMS = ("Debian:12", "Debian:13", "Ubuntu:22.04:LTS", "Ubuntu:24.04:LTS")
SCORES = ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:L")
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n\n"
PLAN = '[[plugin]]\nname = "packages"\nuse = "packages"\ngrants = { cve = "file:cve.sqlite" }\n'


def measure(settings: Settings) -> list[Row]:
    """A row of seconds, against the bound."""
    folder = settings.directory / "rescan"
    folder.mkdir()
    dice = random.Random(settings.seed)
    advisories = list(_advisories(dice))
    _build(folder, advisories)
    (folder / "plan.toml").write_text(PLAN)
    _douane(folder, "import", "-c", "plan.toml", str(_image(folder)))
    _copy(folder / "home" / "catalog.sqlite3", dice)
    (folder / "home" / "store").rename(folder / "away")
    samples = []
    for number in range(settings.times(3)):
        state = f"state-{number}"
        advisories += _update(number)
        _build(folder, advisories)
        began = time.perf_counter()
        summary = _douane(folder, "rescan", "-c", "plan.toml", "--json", "--state", state, codes=(1,))
        samples.append(time.perf_counter() - began)
        counts = summary["images"], summary["from_documents"], summary["read"], summary["undecided"]
        assert counts == (IMAGES, IMAGES, 0, 0), summary
        assert summary["refused"] == REFUSED * (number + 1), summary
    return [
        Row(
            f"rescan of {IMAGES} images with {PACKAGES} packages after an update of {ADVISORIES} advisories, none read",
            sorted(samples)[len(samples) // 2],
            SECONDS,
            "bound",
            "s",
            max_ratio=1.0,
            samples={"rescan": samples},
        )
    ]


def _advisories(dice: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(ADVISORIES):
        name = f"package-{dice.randrange(POOL)}"
        places = [(ecosystem, name, f"1.{dice.randrange(DAYS)}-1") for ecosystem in ECOSYSTEMS[number % 2 :: 2]]
        yield _advisory(f"X-{number}", SCORES[number % len(SCORES)], *places)


def _update(number: int) -> list[dict[str, Any]]:
    """A critical one, about a package that seven images have."""
    return [_advisory(f"NEW-{number}", CRITICAL, *((place, f"rare-{number}", "9") for place in ECOSYSTEMS))]


def _advisory(name: str, score: str, *places: tuple[str, str, str]) -> dict[str, Any]:
    affected = [
        {
            "package": {"ecosystem": ecosystem, "name": package},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }
        for ecosystem, package, fixed in places
    ]
    severity = [{"type": "CVSS_V3", "score": score}]
    return {"id": name, "modified": f"{today()}T00:00:00Z", "severity": severity, "affected": affected}


def _build(folder: Path, advisories: list[dict[str, Any]]) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_STORED) as archive:
        for advisory in advisories:
            archive.writestr(f"{advisory['id']}.json", json.dumps(advisory))
    build([str(folder / "all.zip")], str(folder / "cve.sqlite"), today())


def _image(folder: Path) -> Path:
    tree = folder / "tree"
    for path, text in {
        "etc/os-release": "ID=debian\nVERSION_ID=12\n",
        "var/lib/dpkg/status": STATUS.format("a", 1),
    }.items():
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_text(text)
    subprocess.run(
        [shutil.which("mkfs.ext4") or "/sbin/mkfs.ext4", "-q", "-d", tree, folder / "disk.img", "8M"], check=True
    )
    return folder / "disk.img"


def _inventory(number: int, dice: random.Random) -> Inventory:
    system, version = SYSTEMS[number % len(SYSTEMS)]
    shared = "dpkg", "amd64", "Maintainers <maintainers@example.org>", "/var/lib/dpkg/status", False
    day = number // len(SYSTEMS) % DAYS
    chosen = [*range(BASE), *dice.sample(range(BASE, POOL), PACKAGES - BASE - 1)]
    listed = [
        Package(f"libpackage-{n}", f"1.{(day + n % 10) // 10 + n % DAYS}-1", f"package-{n}", "", shared) for n in chosen
    ]
    rare = f"rare-{number % (IMAGES // REFUSED)}" if number < REFUSED * (IMAGES // REFUSED) else "common"
    return Inventory(
        [System("disk", {"ID": system, "VERSION_ID": version}, [*listed, Package(rare, "1", "", "", shared)])], []
    )


def _copy(file: Path, dice: random.Random) -> None:
    """The record of the imported image 999 times, with other packages."""
    with sqlite3.connect(file) as catalog:
        catalog.row_factory = sqlite3.Row
        [image] = catalog.execute("SELECT * FROM images").fetchall()
        [task] = catalog.execute("SELECT * FROM tasks").fetchall()
        report = json.loads(task["report"])
        for number in range(IMAGES):
            report["verdicts"][0]["documents"]["inventory"] = document_of(_inventory(number, dice))
            if number == 0:
                catalog.execute("UPDATE tasks SET report = ?", (json.dumps(report),))
                continue
            name = str(uuid.UUID(int=dice.getrandbits(128)))
            _insert(catalog, "images", {**image, "id": name})
            _insert(catalog, "tasks", {**task, "id": str(uuid.uuid4()), "image_id": name, "report": json.dumps(report)})
            for table in ("properties", "stores"):
                for row in catalog.execute(f"SELECT * FROM {table} WHERE image_id = ?", (image["id"],)).fetchall():
                    _insert(catalog, table, {**row, "image_id": name})
    catalog.close()


def _insert(catalog: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names, places = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    catalog.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row.values()))


def _douane(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
    command = [sys.executable, "-m", "douane", "--home", "home", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode in codes, ended.stderr
    return json.loads(ended.stdout) if "--json" in arguments else None
