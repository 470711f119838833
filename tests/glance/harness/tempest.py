"""OpenStack's own tests of the image service, against a Glance of ours."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .downloads import Downloads
from .environments import Environment
from .keystone import PASSWORD, Keystone

RUN = Path(__file__).parents[1] / "tempest_run.py"
CONTAINERS = ("bare", "ovf")
DISKS = ("qcow2", "raw", "vhd", "vmdk", "vdi", "iso")


@dataclass(frozen=True)
class Outcome:
    """What came of one test: ``passed``, ``skipped``, ``failed``, ``error``; and why."""

    test: str
    outcome: str
    why: str


def run_tempest(
    folder: Path, keystone: Keystone, downloads: Downloads, expression: str = "", *, is_cached: bool = False
) -> dict[str, Outcome]:
    """Run those whose names have the regular `expression`, against the Glance in Keystone's catalog; by their names.

    `folder` is made. Raises AssertionError if Tempest itself does not come to its end, or finds no test.
    """
    folder.mkdir()
    (folder / "tempest.conf").write_text(_conf(folder, keystone, downloads, is_cached=is_cached))
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TEMPEST_CONFIG_DIR": str(folder),
        "TEMPEST_CONFIG": "tempest.conf",
        "OS_TEST_TIMEOUT": "300",
    }
    results = folder / "results"
    argv = [str(Environment("tempest").path / "bin" / "python"), str(RUN), str(results), expression]
    with (folder / "output").open("wb") as output:
        done = subprocess.run(argv, env=env, cwd=folder, stdout=output, stderr=output, timeout=1800, check=False)
    said = (folder / "output").read_text(errors="replace")[-4000:]
    assert done.returncode == 0, f"Tempest ended with {done.returncode}:\n{said}"
    found = [Outcome(**json.loads(line)) for line in results.read_text().splitlines()]
    assert found, f"Tempest has run no test:\n{said}"
    return {each.test: each for each in found}


def _conf(folder: Path, keystone: Keystone, downloads: Downloads, *, is_cached: bool) -> str:
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
        "image-feature-enabled": {
            "import_image": "true",
            "os_glance_reserved": "true",
            "manage_locations": "true",
            "http_store_enabled": "true",
            "store_weight_enabled": "true",
            # Its tests of lists send random bytes as an image of any format.
            "image_format_enforcement": "false",
        },
        "oslo_concurrency": {"lock_path": str(folder / "locks")},
    }
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for section, options in sections.items()
    )
