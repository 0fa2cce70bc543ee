"""Headless Chromium over its debugging pipe: enough to open a page, click, type and look.

The browser gets one page without network and a profile in a temporary directory; it ends with the context, and with us.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

__all__ = ["Page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS = 60.0
# the pipe of the browser is its descriptors 3 and 4
_SHIM = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"
    "ends = [os.dup(int(sys.argv[n])) for n in (1, 2)]\n"
    "ends = [os.dup2(os.dup2(end, 60 + n), 3 + n) for n, end in enumerate(ends)]\n"
    "os.execv(sys.argv[3], sys.argv[3:])\n"
)


class Page:
    """One page of a browser of its own; a context manager. Skips the test where there is no browser."""

    def __init__(self, folder: Path, *, dark: bool = False, width: int = 1400, height: int = 900) -> None:
        path = next((found for name in _NAMES if (found := shutil.which(name))), None)
        if path is None:
            pytest.skip("no Chromium is installed (tests/clients/install.sh), so the page was not opened in a browser")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        words = [
            path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe",
            f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SHIM, str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._dark = dark
        self._size = (width, height)
        self.problems: list[str] = []
        """Errors that the page threw, and requests that it made besides its own file."""

    def __enter__(self) -> Page:
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        width, height = self._size
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)
        os.close(self._in)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def send(self, method: str, **params: Any) -> Any:
        """Call *method* of the DevTools protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + _SECONDS
        while True:
            reply = self._next(until)
            if reply.get("id") == self._number:
                assert "error" not in reply, reply
                return reply["result"]
            self._event(reply)

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._in, 1 << 16) if ready else b""
            assert data, "the browser went away, or did not answer in time"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        value: dict[str, Any] = json.loads(message)
        return value

    def _event(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if params.get("type") != "Document":
                self.problems.append(f"the page asked for {url}")

    def open(self, path: Path) -> None:
        """Open the file *path* and wait until it is there."""
        self.send("Page.navigate", url=path.absolute().as_uri())
        until = time.monotonic() + _SECONDS
        while self.js("document.readyState") != "complete" or self.js("location.protocol") != "file:":
            assert time.monotonic() < until, "the page does not get ready"

    def js(self, expression: str) -> Any:
        """The value of a JavaScript *expression*."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """Click in the middle of the first element of *selector*, as a mouse does: what lies above gets the click."""
        box = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'nearest'}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def choose(self, selector: str, value: str) -> None:
        """Choose *value* in the select element of *selector*."""
        self.js(
            f"(() => {{ const s = document.querySelector({json.dumps(selector)}); s.value = {json.dumps(value)};"
            " s.dispatchEvent(new Event('change')); })()"
        )

    def key(self, key: str) -> None:
        """Press and release *key*, such as `n`, `Enter`, `Tab`, `Escape`."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown", "keyUp"):
            code = codes.get(key, ord(key[0].upper()))
            self.send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                      **({"text": text} if kind == "keyDown" and text else {}))  # fmt: skip

    def screenshot(self, path: Path) -> None:
        """Write what is seen now as a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
