"""Run a plugin on bytes, a file or a generator, and assert on the result.

::

    from douane_plugin.testing import run

    def test_a_disk_without_a_signature_is_refused():
        result = run(BootSector, bytes(512), chunks=7)
        assert (result.outcome, result.code) == ("refused", "no-boot-signature")

The plugin runs in the process of the test, or in Douane's sandbox (``sandbox="strict"``). Once ``douane-plugin`` is
installed, every pytest run has the fixtures ``douane_run`` and ``douane_image``.
"""

from ._cuts import assert_same_for_all_cuts, run_all_cuts
from ._guest_image import guest_image
from ._pieces import Cuts
from ._result import LogLine, NoSandbox, PluginFailed, Result, Warned, WrongConfiguration
from ._run import run
from ._run_spec import Declared
from ._services import Address, Replies
from .images import KINDS, image_bytes

__all__ = [
    "KINDS",
    "Address",
    "Cuts",
    "Declared",
    "LogLine",
    "NoSandbox",
    "PluginFailed",
    "Replies",
    "Result",
    "Warned",
    "WrongConfiguration",
    "assert_same_for_all_cuts",
    "guest_image",
    "image_bytes",
    "run",
    "run_all_cuts",
]
