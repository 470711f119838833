"""What schemathesis has to know of the API (SCHEMATHESIS_HOOKS): media types of its own that are JSON."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch")
def json_patch(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.serializer("application/partial-upload")
def part_of_an_upload(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
