"""Settings for all tests of douane-guest."""

from __future__ import annotations

import os

import hypothesis

# On a busy machine an example may take seconds. In CI the examples are the same in each run: a failure comes of the
# change that is tested.
hypothesis.settings.register_profile("guest", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("guest")
