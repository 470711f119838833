"""No inspector refuses, warns of, or fails to read a freshly built Debian of real packages (scripts/trees-env.sh)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from douane.advisories import building
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.plugins.packages.clock import today
from douane.report import Report
from douane.sandbox import Tier
from support.clamd_servers import real_clamd
from support.cloud_disk import pack
from support.doc_pages import TOP
from support.plans import plan, plugin
from support.planted_files import RULES
from support.planted_packages import advisory, affected, osv_zip

pytestmark = pytest.mark.libraries

DEBIAN = TOP / ".trees" / "debian"
POLICIES = TOP / "examples" / "policies"


def advisories(folder: Path) -> str:
    """A database that has nothing of what is installed."""
    systems = [affected(f"Debian:{release}", "no-such-package", "fixed 1:1.0-1") for release in (11, 12, 13, 14)]
    osv_zip(folder / "osv.zip", [advisory("CVE-2026-1", *systems)])
    building.build([str(folder / "osv.zip")], str(folder / "cve.sqlite"), today())
    return f"file:{folder}/cve.sqlite"


def site(folder: Path, clamd: Path) -> list[str]:
    """All inspectors, with what the site of the examples says."""
    (folder / "rules.yar").write_text(RULES)
    return [
        plugin("format"),
        plugin("policy", config={"require": "image.size <= 20 * GiB"}),
        plugin("baseline"),
        plugin("secrets"),
        plugin("yara", grants={"rules": f"file:{folder}/rules.yar"}),
        plugin("packages", grants={"cve": advisories(folder)}),
        plugin(
            "clamav",
            timeout="30m",
            config={"max_database_age": 0},
            grants={"clamd": f"unix:{clamd}", "conf": f"file:{clamd.parent}/clamd.conf"},
        ),
        plugin("guest-policy", grants={"policy": f"file:{POLICIES}/guest.toml"}),
        plugin("guest-policy", "golden", grants={"policy": f"file:{POLICIES}/golden.toml"}),
    ]


def inspect(folder: Path, image: Path, clamd: Path) -> Report:
    path = folder / "plan.toml"
    path.write_text(plan(*site(folder, clamd), digests=()) + '[guest]\ntimeout = "30m"\n')
    options = RunOptions(tier=Tier.FULL, emit=lambda *line: None)
    declared = DeclaredImage(name="debian")
    return inspect_image(
        load_plan(str(path), extra=(), settings=()), declared, open_source(str(image), size=None), None, options
    )


def test_no_inspector_refuses_a_freshly_built_debian(tmp_path: Path) -> None:
    image = pack(DEBIAN, tmp_path / "debian.img")
    with TemporaryDirectory(dir="/tmp") as folder, real_clamd(Path(folder), limit="512M") as clamd:
        report = inspect(tmp_path, image, clamd)
    assert (report.outcome, report.code) == ("accepted", None), report
    assert [verdict.outcome for verdict in report.verdicts] == ["accepted"] * 9
    assert [verdict.warnings for verdict in report.verdicts] == [[]] * 9
    properties = report.properties
    assert properties["baseline.profile"] == "debian"
    assert properties["baseline.files"] > 15_000
    assert properties["secrets.files"] > 12_000
    assert properties["secrets.notes"] > 10, "the keys of examples and tests were not looked at"
    assert properties["packages.packages"] > 250
    assert properties["clamav.scanned"] > 10_000
