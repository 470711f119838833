"""Settings for all tests of the kit."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("kit", deadline=None)  # on a busy machine an example may take seconds
hypothesis.settings.load_profile("kit")
