"""The fixtures ``douane_run``, ``douane_same_for_all_cuts``, ``douane_image`` and ``douane_sandbox`` for pytest.

pytest finds them by an entry point, so that installing ``douane-plugin`` suffices. Every pytest run in that environment
imports this module; the modules behind the fixtures are imported when a test uses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from . import Result

TIERS = ("none", "off", "strict", "full", "best")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--douane-sandbox`` and the ini option ``douane_sandbox``."""
    text = "where douane_run runs plugins: none (in the process of the test), or a tier of Douane's sandbox"
    group = parser.getgroup("douane", "plugins for Douane")
    group.addoption("--douane-sandbox", choices=TIERS, default=None, help=f"{text}: off, strict, full, best")
    parser.addini("douane_sandbox", f"{text}: off, strict, full, best (default: none)", default="none")


@pytest.fixture(scope="session")
def douane_sandbox(request: pytest.FixtureRequest) -> Optional[str]:
    """The tier of ``--douane-sandbox``, or of ``douane_sandbox`` in the ini file; None: in the process of the test."""
    tier = request.config.getoption("--douane-sandbox") or request.config.getini("douane_sandbox")
    if tier not in TIERS:
        raise pytest.UsageError(f"douane_sandbox in the ini file is one of {', '.join(TIERS)}, not {tier!r}")
    return None if tier == "none" else str(tier)


@pytest.fixture
def douane_run(request: pytest.FixtureRequest, douane_sandbox: Optional[str]) -> Callable[..., Result]:
    """Return :func:`douane_plugin.testing.run`, with ``--douane-sandbox`` as the default of its argument `sandbox`.

    If the test fails, pytest shows the results.
    """
    from . import run

    def douane_run(plugin: Any, image: Any = b"", **keywords: Any) -> Result:
        __tracebackhide__ = True
        result = run(plugin, image, **{"sandbox": douane_sandbox, **keywords})
        # If a test compares `result.outcome`, a str, pytest does not show the result that it belongs to.
        request.node.add_report_section("call", "douane_run", repr(result))
        return result

    return douane_run


@pytest.fixture
def douane_same_for_all_cuts() -> Callable[..., Result]:
    """Return :func:`douane_plugin.testing.assert_same_for_all_cuts`, which takes too many runs for the sandbox."""
    from . import assert_same_for_all_cuts

    return assert_same_for_all_cuts


@pytest.fixture
def douane_image(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes small images: ``douane_image("gpt", size=8 << 20)`` returns the path of one.

    The image is in the folder of the test. The arguments are those of :func:`douane_plugin.testing.image_bytes`, and
    `name` (str), the name of the file. Zeros are holes, so that a large image takes no room. Raises ValueError as
    `image_bytes` does, and FileExistsError if there is a file of that name.
    """
    from .images import write_image

    def douane_image(kind: str = "raw", size: Optional[int] = None, *, name: Optional[str] = None, **more: Any) -> Path:
        number = 0
        path = tmp_path / (name or f"{kind}-{number}.img")
        while name is None and path.exists():
            number += 1
            path = tmp_path / f"{kind}-{number}.img"
        if path.exists():
            raise FileExistsError(f"{path} exists; choose another name")
        write_image(path, kind, size, **more)
        return path

    return douane_image
