"""Look at a page in a real Chromium, without a screen, driven by its DevTools protocol over a loopback websocket."""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_SECONDS: Final = 60.0
_ADDRESS_LINES: Final = 2

_BOXES: Final = """
(() => {
  const found = [];
  const shown = node => { const s = getComputedStyle(node); return s.display !== 'none' && s.visibility !== 'hidden'; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.data.trim() || !shown(node.parentElement)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const svg = node.parentElement.closest('svg');
    const frame = svg ? svg.getBoundingClientRect() : null;
    const boxes = range.getClientRects();
    for (const box of boxes) {
      if (!box.width || !box.height) continue;
      found.push({
        text: node.data.trim(), lines: boxes.length,
        left: box.left, right: box.right, top: box.top + scrollY, bottom: box.bottom + scrollY,
        size: parseFloat(getComputedStyle(node.parentElement).fontSize)
          * (svg ? frame.width / svg.viewBox.baseVal.width : 1),
        inside: !frame || (box.left >= frame.left - 1 && box.right <= frame.right + 1
          && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1),
      });
    }
  }
  return JSON.stringify({
    texts: found, wide: document.documentElement.scrollWidth, view: document.documentElement.clientWidth,
    height: document.documentElement.scrollHeight,
  });
})()
"""
"""Where each line of each text stands that can be seen; `inside`: whether it is inside of its drawing."""


@dataclass(frozen=True, slots=True)
class TextBox:
    """One of the *lines* of a *text*, in pixels; *is_inside* is whether its drawing cuts nothing of it off."""

    text: str
    lines: int
    left: float
    right: float
    top: float
    bottom: float
    size: float
    is_inside: bool

    def overlaps(self, other: "TextBox") -> bool:
        """Whether it covers a part of *other*: more than the room that a font leaves around its letters."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 1 and down > 0.2 * min(self.bottom - self.top, other.bottom - other.top)


@dataclass
class Seen:
    """What a browser saw of a page: its texts, what it complained of, and which addresses it asked for."""

    texts: list[TextBox]
    page_width: float
    view_width: float
    complaints: list[str]
    addresses: list[str]
    picture: bytes = field(repr=False)

    def overlapping(self) -> list[tuple[str, str]]:
        """Return the pairs of texts of which one covers a part of the other."""
        return [
            (one.text, other.text)
            for number, one in enumerate(self.texts)
            for other in self.texts[number + 1 :]
            if one.overlaps(other)
        ]

    def broken_numbers(self) -> list[str]:
        """Return the numbers that are broken into several lines."""
        return [one.text for one in self.texts if one.lines > 1 and re.fullmatch(r"[\d,.:]+( s)?", one.text)]

    def cut_off(self) -> list[str]:
        """Return the texts that are not wholly on the page, or in their drawing."""
        return [one.text for one in self.texts if one.left < 0 or one.right > self.view_width or not one.is_inside]


class Browser:
    """A Chromium, driven by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._last = 0
        self._events: list[Mapping[str, Any]] = []

    async def look(self, address: str, *, width: int, height: int = 800) -> Seen:
        """Open the page at *address* in a window of this size, and return what is to be seen of the whole page."""
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self._call(f"{domain}.enable", session)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", session, **metrics)
        self._events.clear()
        await self._call("Page.navigate", session, url=address)
        await self._event("Page.loadEventFired")
        found = json.loads((await self._call("Runtime.evaluate", session, expression=_BOXES))["result"]["value"])
        clip = {"x": 0, "y": 0, "width": width, "height": found["height"], "scale": 1}
        shot = await self._call("Page.captureScreenshot", session, captureBeyondViewport=True, clip=clip)
        events = list(self._events)
        await self._call("Target.closeTarget", targetId=target["targetId"])
        return Seen(
            [TextBox(**{"is_inside" if key == "inside" else key: one[key] for key in one}) for one in found["texts"]],
            found["wide"],
            found["view"],
            [json.dumps(one["params"]) for one in events if one["method"] in _COMPLAINTS],
            [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"],
            base64.b64decode(shot["data"]),
        )

    async def _call(self, method: str, session: str | None = None, **params: object) -> Any:  # noqa: ANN401 — JSON
        self._last += 1
        number = self._last
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message if session is None else {**message, "sessionId": session})
        while True:
            reply = await self._next()
            if reply.get("id") == number:
                assert "error" not in reply, reply
                return reply["result"]

    async def _event(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            await self._next()

    async def _next(self) -> Mapping[str, Any]:
        message: Mapping[str, Any] = await self._socket.receive_json(timeout=_SECONDS)
        if "method" in message:
            self._events.append(message)
        return message


_COMPLAINTS: Final = frozenset({"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"})


@contextlib.asynccontextmanager
async def started_browser(folder: Path) -> AsyncIterator[Browser]:
    """Start Chromium with a profile in *folder*, and end it."""
    assert CHROMIUM is not None, "Chromium is needed; `make check` installs it."
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        port, path = await _address(folder / "DevToolsActivePort")
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            yield Browser(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _address(file: Path) -> tuple[str, str]:
    """Wait until Chromium has written to *file* where it listens."""
    async with asyncio.timeout(_SECONDS):
        while len(lines := _lines(file)) < _ADDRESS_LINES:  # noqa: ASYNC110 — another process writes it
            await asyncio.sleep(0.05)
        return lines[0], lines[1]


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
