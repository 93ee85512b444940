"""A headless Chromium for tests of pages, spoken to by its own protocol."""

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page in a browser of its own.

    Attributes:
        asked: Addresses of all requests that it made.
        errors: What the page's scripts threw.
    """

    def __init__(self, url, language="en-US"):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"]
        own = [f"--user-data-dir={self._folder.name}", f"--lang={language}", f"--accept-lang={language}"]
        self._process = subprocess.Popen(
            [CHROMIUM, *flags, *own, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port = self._wait(self._port, 60)
        self._number, self.asked, self.errors = 0, [], []
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(f"ws://127.0.0.1:{port}{self._browser}", max_size=None))
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self._send(f"{domain}.enable")
        self._send("Emulation.setTouchEmulationEnabled", enabled=True)
        self._send("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script):
        """The value of an expression on the page."""
        found = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script, seconds=30):
        """Wait until an expression holds; its value."""
        return self._wait(lambda: self.run(script), seconds, lambda: self.run("document.body.innerText"))

    def type(self, text):
        """By the keyboard, where the focus is."""
        for character in text:
            self._send("Input.dispatchKeyEvent", type="char", text=character)

    def press(self, key, code=None):
        """One key, down and up."""
        numbers = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "Home": 36}
        numbers |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        named = {"key": key, "code": code or key, "windowsVirtualKeyCode": numbers[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        self._send("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": text} if text else {}))
        self._send("Input.dispatchKeyEvent", type="keyUp", **named)

    def tab_to(self, id):
        """Press Tab until an element has the focus."""
        for _ in range(40):
            if self.run("document.activeElement.id") == id:
                return
            self.press("Tab")
        raise AssertionError(f"Tab does not reach '{id}'")

    def touch(self, points):
        """A finger that goes along these points, in CSS pixels."""
        kinds = ["touchStart", *["touchMove"] * (len(points) - 1)]
        for kind, (x, y) in zip(kinds, points, strict=True):
            self._send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        if len(points) > 1:
            time.sleep(0.3)  # it rests: a page that is still flung takes no tap
        self._send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def tap(self, id):
        """A finger on the middle of an element."""
        box = self.run(
            f"(() => {{ const e = document.getElementById('{id}'); e.scrollIntoView(); "
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.touch([box])

    def close(self):
        self._open.close()
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _port(self):
        path = Path(self._folder.name, "DevToolsActivePort")
        if not path.exists() or len(lines := path.read_text().split()) < 2:
            return None
        self._browser = lines[1]
        return lines[0]

    def _wait(self, found, seconds, describe=lambda: "nothing"):
        deadline = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < deadline, describe()
            time.sleep(0.05)
        return value

    def _send(self, method, **parameters):
        self._number += 1
        session = {"sessionId": self._session} if hasattr(self, "_session") else {}
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters, **session}))
        while (answer := json.loads(self._socket.recv(60))).get("id") != self._number:
            if answer.get("method") == "Network.requestWillBeSent":
                self.asked.append(answer["params"]["request"]["url"])
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"]["exceptionDetails"]["text"])
        assert "error" not in answer, answer
        return answer["result"]
