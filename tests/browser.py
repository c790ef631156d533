"""A headless Chromium for tests, driven through its own protocol over a pair of pipes.

Source: https://chromedevtools.github.io/devtools-protocol; no driver program, port or socket.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root may not use
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--disable-quic",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
TIMEOUT = 60  # seconds
CODES = {"Tab": 9, "Enter": 13, "Escape": 27}  # of keys that the browser itself acts on
TEXTS = {"Enter": "\r"}


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome, None if there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page of a browser with a profile of its own; a context manager."""

    def __init__(self, chromium: str, profile: Path, size: tuple[int, int] = (1280, 900)) -> None:
        """Start the browser; its files are below `profile`."""
        (profile / "downloads").mkdir(parents=True, exist_ok=True)
        self.downloads = profile / "downloads"
        # The browser reads file descriptor 3 and writes 4; ours must not be these while they move.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (*os.pipe(), *os.pipe())]
        their_in, self._out, self._in, their_out = ends
        arguments = [chromium, *FLAGS, f"--user-data-dir={profile}"]
        arguments += [f"--window-size={size[0]},{size[1]}", "about:blank"]
        self._process = os.posix_spawn(
            chromium,
            arguments,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, their_in, 3),
                (os.POSIX_SPAWN_DUP2, their_out, 4),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,
        )
        os.close(their_in)
        os.close(their_out)
        self._buffer = b""
        self._unclaimed: list[dict[str, Any]] = []
        self._last = 0
        self._session = None
        self.problems: list[str] = []  # exceptions and console errors of the page
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(self.downloads),
            eventsEnabled=True,
        )

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *args: object) -> None:
        """End the browser and all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._out)
        os.close(self._in)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        answer = self.wait(lambda message: message.get("id") == self._last)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message, of those not yet returned, for which `wanted` is true."""
        end = time.monotonic() + TIMEOUT
        for message in self._unclaimed:
            if wanted(message):
                self._unclaimed.remove(message)
                return message
        while True:
            while b"\0" in self._buffer:
                line, self._buffer = self._buffer.split(b"\0", 1)
                message = json.loads(line)
                self._note(message)
                if wanted(message):
                    return message
                self._unclaimed.append(message)
            ready, _, _ = select.select([self._in], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data

    def event(self, method: str, **params: Any) -> dict[str, Any]:
        """Wait for an event with these parameters, among others, and return all of them."""

        def wanted(message: dict[str, Any]) -> bool:
            found = message.get("params", {})
            return message.get("method") == method and params.items() <= found.items()

        return self.wait(wanted)["params"]

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", str(details)))
        elif message.get("method") == "Log.entryAdded":
            entry = message["params"]["entry"]
            if entry["level"] == "error":
                self.problems.append(entry["text"])

    def open(self, page: Path | str) -> None:
        """Open a page and wait until it has loaded."""
        url = page.resolve().as_uri() if isinstance(page, Path) else page
        self._load("Page.navigate", url=url)

    def reload(self) -> None:
        """Load the page again."""
        self._load("Page.reload")

    def _load(self, method: str, **params: Any) -> None:
        self._unclaimed.clear()
        self.call(method, **params)
        self.event("Page.loadEventFired")
        # Until a page has been painted, it takes no input.
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """Return the value of an expression on the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click the middle of the first element that a CSS selector finds, as a mouse would."""
        x, y, hit = self.run(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{block: "center"}});
              const box = element.getBoundingClientRect();
              const at = [box.left + box.width / 2, box.top + box.height / 2];
              return [...at, element.contains(document.elementFromPoint(...at))];
            }})()"""
        )
        assert hit, f"{selector} is covered by something else"
        for kind in ("mousePressed", "mouseReleased"):
            mouse = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **mouse)

    def press(self, key: str) -> None:
        """Press a key: a letter, or a name such as ArrowRight."""
        text = {"text": TEXTS.get(key, key)} if len(key) == 1 or key in TEXTS else {}
        code = {"windowsVirtualKeyCode": CODES[key]} if key in CODES else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Insert text where the cursor is."""
        self.call("Input.insertText", text=text)

    def download(self, selector: str) -> bytes:
        """Click an element that saves a file, and return what it saved."""
        self.click(selector)
        name = self.event("Browser.downloadWillBegin")["suggestedFilename"]
        self.event("Browser.downloadProgress", state="completed")
        path = self.downloads / name
        content = path.read_bytes()
        path.unlink()
        return content
