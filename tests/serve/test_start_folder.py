"""The folder in which the service is started: nothing in it is run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from support.processes import SECONDS


def test_no_module_of_the_folder_in_which_it_is_started_is_run(tmp_path: Path) -> None:
    """Doors and workers are started with ``-m``, which would look there first."""
    folder, ran = tmp_path / "folder", tmp_path / "ran"
    folder.mkdir()
    for name in ("re", "asyncio", "msgspec", "falcon", "douane"):
        (folder / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write(__name__)\nraise SystemExit('hostile')\n")
    words = [sys.executable, "-P", "-m", "douane", "serve", "--home", str(tmp_path / "home"), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert "Image API at" in process.stdout.readline()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)
    assert not ran.exists()
