"""The images of the corpus, unpacked once for all tests of a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository's own bench, which is not installed

from bench.formats.corpus import Labelled, labelled


@pytest.fixture(scope="session")
def labels() -> Iterator[list[Labelled]]:
    """All images, unpacked as long as the tests run."""
    with labelled(Path(os.environ["DOUANE_CORPUS"])) as images:
        yield images
