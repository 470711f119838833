"""Tempest's tests of the image service, against a Glance of these tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .downloads import Downloads
from .environments import Environment
from .keystone import PASSWORD, Keystone

GLANCE = {
    "import_image": "true",
    "os_glance_reserved": "true",
    "manage_locations": "true",
    "http_store_enabled": "true",
    "store_weight_enabled": "true",
    # Its tests of lists send random bytes as an image of any format.
    "image_format_enforcement": "false",
}
"""What a Glance of these tests offers: Tempest's section ``image-feature-enabled``."""
DOUANE_SERVE = {
    "import_image": "true",
    "os_glance_reserved": "true",
    "manage_locations": "false",
    "http_store_enabled": "false",
    "store_weight_enabled": "false",
    "image_format_enforcement": "false",
}
"""What `douane serve` offers."""

RUN = Path(__file__).with_name("tempest_run.py")
CONTAINERS = ("bare", "ovf")
DISKS = ("qcow2", "raw", "vhd", "vmdk", "vdi", "iso")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a test, ``passed``, ``skipped``, ``failed`` or ``error``, and the reason."""

    test: str
    outcome: str
    why: str


def run_tempest(
    folder: Path,
    keystone: Keystone,
    downloads: Downloads,
    expression: str = "",
    *,
    is_cached: bool = False,
    features: Mapping[str, str] = GLANCE,
) -> dict[str, Outcome]:
    """Run the tests whose names match the regular `expression` against the image service in Keystone's catalog.

    Creates `folder`. Returns the outcomes by the names of the tests. Raises AssertionError if Tempest fails, or finds
    no test.
    """
    folder.mkdir()
    (folder / "tempest.conf").write_text(_conf(folder, keystone, downloads, features, is_cached=is_cached))
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TEMPEST_CONFIG_DIR": str(folder),
        "TEMPEST_CONFIG": "tempest.conf",
        "OS_TEST_TIMEOUT": "300",
    }
    results = folder / "results"
    # -P: this folder has a module `tempest` of its own.
    argv = [Environment("tempest").program("python"), "-P", str(RUN), str(results), expression]
    with (folder / "output").open("wb") as output:
        process = subprocess.run(argv, env=env, cwd=folder, stdout=output, stderr=output, timeout=1800, check=False)
    output_text = (folder / "output").read_text(errors="replace")[-4000:]
    assert process.returncode == 0, f"Tempest ended with {process.returncode}:\n{output_text}"
    outcomes = [Outcome(**json.loads(line)) for line in results.read_text().splitlines()]
    assert outcomes, f"Tempest has run no test:\n{output_text}"
    return {outcome.test: outcome for outcome in outcomes}


def _conf(
    folder: Path, keystone: Keystone, downloads: Downloads, features: Mapping[str, str], *, is_cached: bool
) -> str:
    sections: dict[str, dict[str, str]] = {
        "DEFAULT": {"log_file": str(folder / "tempest.log"), "use_stderr": "false"},
        "auth": {
            "admin_username": "admin",
            "admin_password": PASSWORD,
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
            "use_dynamic_credentials": "true",
            "tempest_roles": "member,reader",
            "create_isolated_networks": "false",
        },
        "identity": {"uri_v3": keystone.url, "auth_version": "v3", "region": "RegionOne", "v3_endpoint_type": "public"},
        "service_available": {
            "glance": "true",
            **dict.fromkeys(("nova", "neutron", "cinder", "swift", "horizon"), "false"),
        },
        "image": {
            "http_image": downloads.url("http-image"),
            "http_qcow2_image": downloads.url("http-qcow2-image"),
            "container_formats": ",".join(CONTAINERS),
            "disk_formats": ",".join(DISKS),
            "build_timeout": "120",
            "image_caching_enabled": str(is_cached).lower(),
        },
        "image-feature-enabled": dict(features),
        "oslo_concurrency": {"lock_path": str(folder / "locks")},
    }
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for section, options in sections.items()
    )
