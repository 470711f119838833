"""A real Chromium without a window, driven by the DevTools protocol over two pipes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .processes import SECONDS
from .waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str:
    """The program. Raises AssertionError: `make test-browser` installs it."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    raise AssertionError("there is no Chromium; `make test-browser` installs it, or: apt-get install chromium")


class Browser:
    """A browser with one page."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="douane-chromium-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [
            find_chromium(), "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-sandbox",
            "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-background-networking",
            "--disable-component-update", "--no-proxy-server", "--hide-scrollbars", "--force-device-scale-factor=1",
            f"--user-data-dir={self._folder}", "about:blank",
        ]  # fmt: skip

        def place_pipes() -> None:  # the protocol is spoken on the descriptors 3 and 4
            near, far = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(near, 3)
            os.dup2(far, 4)

        with open(Path(self._folder) / "log", "wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, pass_fds=(3, 4, theirs_in, theirs_out), preexec_fn=place_pipes
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._reader = os.fdopen(ours_in, "rb")
        self._writer = os.fdopen(ours_out, "wb")
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = next(each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command. Raises AssertionError if the browser refuses it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (letter := self._reader.read1(1)) != b"\0":  # type: ignore[attr-defined]
            assert letter, "Chromium ended"
            text += letter
        message: dict[str, Any] = json.loads(text)
        return message

    def open(self, url: str) -> None:
        """Load a page, and wait until it is there with its scripts."""
        self.call("Page.navigate", url=url)
        self.wait(f"{url} is loaded", "document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, event: str, script: str) -> None:
        """Wait until an expression in the page is true; while a page is loaded anew there is none."""

        def holds() -> bool:
            with contextlib.suppress(AssertionError):
                return bool(self.run(f"!!({script})"))
            return False

        until(event, holds)

    def size(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """The size of the window, and the person's colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def key(self, name: str) -> None:
        """Press a key."""
        codes = {"Tab": 9, "Enter": 13}
        more = {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            press = {"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": codes[name]}
            self.call("Input.dispatchKeyEvent", **press, **(more if kind == "keyDown" else {}))

    def type(self, text: str) -> None:
        """Write into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def complaints(self) -> list[str]:
        """What the browser's console says of the pages until now: errors of scripts, and what the policy blocked."""
        self.call("Runtime.evaluate", expression="0")
        lines = []
        for event in self.events:
            if event.get("method") == "Log.entryAdded":
                lines.append(event["params"]["entry"]["text"])
            elif event.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                lines.append(json.dumps(event["params"])[:500])
        return lines

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self.call("Browser.close")
        try:
            self._process.wait(SECONDS)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._reader.close()
            self._writer.close()
            shutil.rmtree(self._folder, ignore_errors=True)
