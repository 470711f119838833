"""Settings for all tests of the contract."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("sdk", deadline=None)  # on a busy machine an example may take seconds
hypothesis.settings.load_profile("sdk")
