"""The clients that people have: `openstack` and `glance` as programs, openstacksdk as a library."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from .environments import Environment
from .keystone import Tenant


@dataclass(frozen=True)
class Said:
    """What a program printed, and its exit status."""

    status: int
    out: str
    err: str


def run_client(tenant: Tenant, program: str, *arguments: str, image_port: int | None = None) -> Said:
    """Run `openstack` or `glance` as this tenant; `image_port` is for another Glance than the catalog's."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    env |= tenant.credentials
    if image_port is not None:
        variable = "OS_IMAGE_ENDPOINT_OVERRIDE" if program == "openstack" else "OS_IMAGE_URL"
        env[variable] = f"http://127.0.0.1:{image_port}"
    argv = [Environment("clients").program(program), *arguments]
    # `glance` takes an input that is no terminal for the image's data, and then refuses --file.
    terminal, its_end = os.openpty()
    try:
        done = subprocess.run(argv, env=env, stdin=its_end, capture_output=True, text=True, timeout=200, check=False)
    finally:
        os.close(terminal)
        os.close(its_end)
    return Said(done.returncode, done.stdout, done.stderr)


def sdk(tenant: Tenant, image_port: int) -> Any:
    """An ``openstack.connection.Connection`` of this tenant's, which speaks to the Glance on this port."""
    import openstack

    given = {key.removeprefix("OS_").lower(): value for key, value in tenant.credentials.items()}
    del given["identity_api_version"], given["region_name"]
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        region_name="RegionOne",
        image_endpoint_override=f"http://127.0.0.1:{image_port}/v2",
        image_api_version="2",
        **given,
    )
