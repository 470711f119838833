"""One service for the tests of a module, without a configuration but for short times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.serve import Serve, serving

CONFIG = """
[[plugin]]
name = "format"
use = "format"

[serve]
client_timeout = "2s"
grace = "20s"
max_image_size = "64MiB"
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A running service that drops a client who is silent for two seconds."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "plan.toml").write_text(CONFIG)
    with serving(folder / "home", folder / "plan.toml") as started:
        yield started
