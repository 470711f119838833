"""OpenStack's own tests of the image service say the same of a Glance with Douane in it as of one without."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.downloads import Downloads
from harness.glance_config import GlanceConfig
from harness.glance_server import Glance, StartGlance
from harness.images import create, put
from harness.keystone import Keystone
from harness.processes import run
from harness.site import with_douane
from harness.tempest import Outcome, run_tempest
from harness.wsgi_servers import Serving

from douane_plugin.testing import image_bytes

pytestmark = [pytest.mark.tempest, pytest.mark.timeout(3600)]

# Tempest sends random bytes as images of any format, so what `format` says of them must refuse none.
ACCEPTING = """
[[plugin]]
name = "format"
use = "format"
mode = "warn"
on_incomplete = "warn"

[[plugin]]
name = "limits"
use = "limits"
config = { max_size = "1GiB" }
"""
EVERYTHING = ""
WITH_DATA = "Import|MultiStore|StoreWeight|BasicOperations|ImageLocations|ImageCaching|ListUserImages|ImageTask|Hash"
"""Names of its classes in which images get data. The others, most of them about tags, members and definitions of
metadata, take as long again: they are run with --all-versions."""


def wide(config: GlanceConfig, folder: Path) -> GlanceConfig:
    """With all that Tempest has tests for: a store of HTTP locations, a cache, an import from another Glance."""
    options = {
        "DEFAULT": {
            "enabled_backends": "fast:file, second:file, web:http",  # Tempest wants this name
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
    """Namespaces of metadata, as an operator loads them: without, three of Tempest's tests find nothing to look at."""
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
    (tmp_path / "douane.toml").write_text(ACCEPTING)
    inspecting = with_douane(tmp_path / "state", {"config": str(tmp_path / "douane.toml")})

    def outcomes(name: str, config: GlanceConfig, found: str | None) -> dict[str, Outcome]:
        glance = start_glance(wide(config, tmp_path / name))  # the one in Keystone's catalog now
        load_definitions(glance)
        image = create(glance.api())
        assert put(glance.api(), image, "file", b"looked at, or not").status == 204
        assert glance.api().must("GET", f"/v2/images/{image}").get("format.disk_format") == found
        return run_tempest(tmp_path / f"tempest-{name}", keystone, downloads, expression, is_cached=True)

    without = outcomes("stock", GlanceConfig(), None)
    with_it = outcomes("douane", inspecting, "raw")
    assert with_it.keys() == without.keys()
    for test, found in with_it.items():
        assert found.outcome == without[test].outcome, f"{test}: {found.why}"
    assert sum(each.outcome == "passed" for each in without.values()) > 30
