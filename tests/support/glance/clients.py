"""Clients of the image service: the programs `openstack` and `glance`, and the library openstacksdk."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from .environments import Environment
from .keystone import Tenant


@dataclass(frozen=True)
class ClientOutput:
    """The exit status and the output of a program."""

    status: int
    out: str
    err: str


def text_of(output: ClientOutput) -> str:
    """The output in one line, without the frames of tables."""
    return re.sub(r"[\s|+]+", " ", output.out + output.err)


def run_client(tenant: Tenant, program: str, *arguments: str, image_port: int | None = None) -> ClientOutput:
    """Run `openstack` or `glance` as this tenant, with the Glance on `image_port` instead of the catalog's."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    env |= tenant.credentials
    if image_port is not None:
        variable = "OS_IMAGE_ENDPOINT_OVERRIDE" if program == "openstack" else "OS_IMAGE_URL"
        env[variable] = f"http://127.0.0.1:{image_port}"
    argv = [Environment("clients").program(program), *arguments]
    # If its input is no terminal, `glance` takes it for the image's data, and refuses --file.
    terminal, client_end = os.openpty()
    try:
        process = subprocess.run(
            argv, env=env, stdin=client_end, capture_output=True, text=True, timeout=200, check=False
        )
    finally:
        os.close(terminal)
        os.close(client_end)
    return ClientOutput(process.returncode, process.stdout, process.stderr)


def sdk(tenant: Tenant, image_port: int) -> Any:
    """An ``openstack.connection.Connection`` of this tenant to the Glance on this port."""
    import openstack

    options = {key.removeprefix("OS_").lower(): value for key, value in tenant.credentials.items()}
    del options["identity_api_version"], options["region_name"]
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        region_name="RegionOne",
        image_endpoint_override=f"http://127.0.0.1:{image_port}/v2",
        image_api_version="2",
        **options,
    )
