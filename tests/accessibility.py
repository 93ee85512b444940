"""Audits of pages by axe-core, which is no part of ours: `npm install axe-core`, or the path of axe.min.js in AXE."""

import json
import os
from pathlib import Path

import pytest
from browser import CHROMIUM

AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
needs_axe = pytest.mark.skipif(
    CHROMIUM is None or not AXE.is_file(), reason="axe-core is not installed, or there is no Chromium"
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
WIDTHS = (360, 1200)


def complaints(browser):
    """What axe-core says against the page as it is now: (rule, element, what to do) of each."""
    if not browser.run("typeof axe === 'object'"):
        browser.run(AXE.read_text(encoding="utf-8") + "\n;0")
    found = browser.run(f"axe.run(document, {{ runOnly: {json.dumps(RULES)} }}).then((all) => all.violations)")
    return [(one["id"], node["html"][:160], node["failureSummary"]) for one in found for node in one["nodes"]]


def audit(browser):
    """The same in either language and theme, narrow and wide, with all that unfolds unfolded; and what is wider than
    the screen."""
    found = []
    for width, switch in zip(WIDTHS * 2, ("theme", "language") * 2, strict=True):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1}
        browser._send("Emulation.setDeviceMetricsOverride", **size, mobile=width < 500)
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found += complaints(browser)
        if (over := browser.run("document.documentElement.scrollWidth") - width) > 0:
            found.append(("too wide", f"{over} pixels", f"at {width}"))
        browser.run(f"document.getElementById('{switch}').click()")
    return found


def too_small(browser):
    """What is pressed on the page and is less than 44 pixels high, too little for a finger."""
    return browser.run(
        "[...document.querySelectorAll('button, select, summary')]"
        ".filter(own => own.getBoundingClientRect().height < 44).map(own => own.outerHTML)"
    )
