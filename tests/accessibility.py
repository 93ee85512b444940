"""Audits of pages by axe-core, which is no part of ours: `npm install axe-core`, and AXE names its axe.min.js."""

import json
import os
from pathlib import Path

import pytest

AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
needs_axe = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
WIDTHS = (360, 1200)


def complaints(browser):
    """What axe-core has to say against a page as it is now: (rule, element, why)."""
    if not browser.run("typeof axe === 'object'"):
        browser.run(AXE.read_text(encoding="utf-8") + "\n;0")
    options = json.dumps({"runOnly": LEVELS, "resultTypes": ["violations"]})
    found = browser.run(f"axe.run(document, {options}).then((all) => all.violations)")
    return [(one["id"], node["html"][:160], node["failureSummary"]) for one in found for node in one["nodes"]]
