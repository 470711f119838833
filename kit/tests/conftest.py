"""Settings for all tests of the kit."""

from __future__ import annotations

import os

import hypothesis

# On a busy machine an example may take seconds. In CI the examples are the same in each run: a failure comes of the
# change that is tested.
hypothesis.settings.register_profile("kit", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("kit")
