"""Run a plugin on bytes, a file or a generator, and assert on what came of it.

::

    from douane_plugin.testing import run

    def test_a_disk_without_a_signature_is_refused():
        result = run(BootSector, bytes(512), chunks=7)
        assert (result.outcome, result.code) == ("refused", "no-boot-signature")

In the test's own process, or in Douane's sandbox (``sandbox="strict"``). The fixtures ``douane_run`` and
``douane_image`` are there in every pytest run once ``douane-plugin`` is installed.
"""

from ._cuts import assert_same_for_all_cuts, run_all_cuts
from ._grants import Replies
from ._order import Declared
from ._pieces import Cuts
from ._result import LogLine, NoSandbox, PluginFailed, Result, Warned, WrongConfiguration
from ._run import run
from .images import KINDS, image_bytes

__all__ = [
    "KINDS",
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
    "image_bytes",
    "run",
    "run_all_cuts",
]
