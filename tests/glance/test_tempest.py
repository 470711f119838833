"""Tempest's tests of the image service have the same outcomes with Douane as without."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane_plugin.testing import image_bytes
from support.glance.downloads import Downloads
from support.glance.glance_config import GlanceConfig
from support.glance.glance_server import Glance, StartGlance
from support.glance.images import create, put
from support.glance.keystone import Keystone
from support.glance.plans import TEMPEST
from support.glance.processes import run
from support.glance.site import with_douane
from support.glance.tempest import Outcome, run_tempest
from support.glance.wsgi_servers import Serving

pytestmark = [pytest.mark.tempest, pytest.mark.timeout(3600)]

EVERYTHING = ""
WITH_DATA = "Import|MultiStore|StoreWeight|BasicOperations|ImageLocations|ImageCaching|ListUserImages|ImageTask|Hash"
"""Names of the classes whose images have data. The others, mostly about tags, members and definitions of metadata,
take as long again: they run with --all-versions."""


def with_all_features(config: GlanceConfig, folder: Path) -> GlanceConfig:
    """The features that Tempest tests: a store of HTTP locations, a cache, an import from another Glance."""
    options = {
        "DEFAULT": {
            "enabled_backends": "fast:file, second:file, web:http",  # Tempest needs this name
            "enabled_import_methods": "[glance-direct,web-download,copy-image,glance-download]",
            "show_multiple_locations": "true",
            "image_cache_dir": str(folder / "cache"),
        },
        # By weight: else in the order in which the stores were done, and Tempest waits for this one.
        "fast": {"weight": "200"},
        "second": {"weight": "100"},
        "image_format": {"require_image_format_match": "false"},
    }
    return GlanceConfig(
        filters=config.filters,
        import_plugins=config.import_plugins,
        serving=Serving("uwsgi", processes=1, threads=8),
        options=options,
        flavor="keystone+cachemanagement",
    )


def load_definitions(glance: Glance) -> None:
    """Load namespaces of metadata, as an operator does: three of Tempest's tests need some."""
    shipped = glance.environment.path / "etc" / "glance" / "metadefs"
    manage = [glance.environment.program("glance-manage"), "--config-file", str(glance.folder / "glance-api.conf")]
    run([*manage, "db_load_metadefs", str(shipped)])


def test_tempest_sees_no_difference(
    start_glance: StartGlance,
    keystone: Keystone,
    downloads: Downloads,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    expression = EVERYTHING if request.config.getoption("--all-versions") else WITH_DATA
    downloads.add("http-image", image_bytes("raw", 64 << 10))
    downloads.add("http-qcow2-image", image_bytes("qcow2"))
    (tmp_path / "douane.toml").write_text(TEMPEST)
    inspecting = with_douane(tmp_path / "state", {"config": str(tmp_path / "douane.toml")})

    def outcomes(name: str, config: GlanceConfig, disk_format: str | None) -> dict[str, Outcome]:
        glance = start_glance(with_all_features(config, tmp_path / name))  # the one in Keystone's catalog now
        load_definitions(glance)
        image = create(glance.api())
        assert put(glance.api(), image, "file", b"inspected, or not").status == 204
        assert glance.api().must("GET", f"/v2/images/{image}").get("format.disk_format") == disk_format
        return run_tempest(tmp_path / f"tempest-{name}", keystone, downloads, expression, is_cached=True)

    without = outcomes("stock", GlanceConfig(), None)
    with_douane_outcomes = outcomes("douane", inspecting, "raw")
    assert with_douane_outcomes.keys() == without.keys()
    for test, outcome in with_douane_outcomes.items():
        assert outcome.outcome == without[test].outcome, f"{test}: {outcome.why}"
    assert sum(outcome.outcome == "passed" for outcome in without.values()) > 30
