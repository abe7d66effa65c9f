"""A headless Chromium that is driven through two pipes, by its DevTools protocol: no port, no driver, no package."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 60.0
_ARGUMENTS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # as root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


def program():
    """The browser's path, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Chromium:
    """A browser with one page.

    Attributes:
        events: What the page's protocol told, in order: (method, parameters).
    """

    def __init__(self):
        self.events = []
        self._ids = itertools.count(1)
        self._waiting = b""
        self._stack = contextlib.ExitStack()
        self._session = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            to_read, self._write = os.pipe()
            self._read, to_write = os.pipe()
            stack.callback(os.close, self._write)
            stack.callback(os.close, self._read)
            # The browser reads from its descriptor 3, and writes to 4.
            redirected = f'exec "$@" 3<&{to_read} 4>&{to_write}'
            self._process = subprocess.Popen(
                ["bash", "-c", redirected, "bash", program(), *_ARGUMENTS, f"--user-data-dir={profile}"],
                pass_fds=(to_read, to_write),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            os.close(to_read)
            os.close(to_write)
            stack.callback(self._end)
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.ask(f"{domain}.enable")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def ask(self, method, **parameters):
        """One call of the protocol, and its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == number:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]
            self.events.append((told["method"], told["params"]))

    def open(self, path, *, width=1280, height=900, scheme="light"):
        """Show a file, in a window of this size and in `light` or `dark`; returns when it is loaded."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            told = self._next()
            self.events.append((told["method"], told["params"]))

    def run(self, expression):
        """The value of a JavaScript expression on the page."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key, *, shift=False):
        """A key goes down and up again."""
        code = _KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        given = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.ask("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **given)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    def screenshot(self, *, whole=False):
        """The window as PNG, or the whole page."""
        return (
            base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])
            if not whole
            else self._whole()
        )

    def _whole(self):
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])

    def _next(self):
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
            assert ready, "Chromium says nothing"
            read = os.read(self._read, 1 << 16)
            assert read, "Chromium has ended"
            self._waiting += read
        message, _, self._waiting = self._waiting.partition(b"\0")
        return json.loads(message)

    def _end(self):
        self._session = None
        with contextlib.suppress(OSError, AssertionError):
            self.ask("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
