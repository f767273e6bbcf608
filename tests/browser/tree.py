"""What a screen reader is given: Chromium's accessibility tree as lines of text, and what is said aloud by itself.

python -m tests.browser.tree        writes the trees in docs/access.md anew, from a real walk
"""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect, sync_playwright

import tests.support.environment  # noqa: F401  (before Django: no setting of the developer's own gets in)
from tests.browser.states import PASSWORD, Looker, site
from tests.tools.catalogue import compile_catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.window import Visitor
    from tests.support.stack import Stack

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "access.md"
# A step of the walk in the page: its heading, words, and what the tree was.
BLOCK = re.compile(r"^(## \d\. [^\n]+)\n(.*?)^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOBILE = "13800138000"

# What a screen reader says by itself: the text of a live region each time that it changes, without what is hidden
# from it. A region is one sentence: role=status and role=alert are atomic.
LISTENER = """
(() => {
  const heard = [];
  const said = new Map();
  const text = (region) => {
    const copy = region.cloneNode(true);
    for (const hidden of copy.querySelectorAll("[aria-hidden=true], [hidden]")) hidden.remove();
    return copy.textContent.replace(/\\s+/g, " ").trim();
  };
  const look = () => {
    for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
      const now = text(region);
      if (now !== said.get(region) && said.has(region) && now) heard.push(now);
      said.set(region, now);
    }
  };
  addEventListener("DOMContentLoaded", () => {
    look();
    new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
  });
  Object.defineProperty(window, "heard", { value: heard });
})();
"""

# Boxes without a meaning of their own.
_SILENT = {"none", "generic", "InlineTextBox", "RootWebArea", "LabelText", "SvgRoot", "LineBreak", "ListMarker"}
# Their name is what stands in them.
_NAMED_BY_CONTENT = {"button", "link", "heading", "radio", "checkbox", "Legend"}
# What is said of them beside role and name.
_TOLD = ("level", "checked", "pressed", "invalid", "disabled", "required", "focused", "readonly")


def tree(page: Page, role: str = "", name: str = "") -> str:
    """Return the tree of a page, or of its first element with this role and name, a line for each node."""
    session = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    by_id = {node["nodeId"]: node for node in nodes}
    top = next(node for node in nodes if not role or (_value(node, "role"), _value(node, "name")) == (role, name))
    lines: list[str] = []

    def walk(node: dict[str, Any], depth: int) -> None:
        kind, called = _value(node, "role"), _value(node, "name").strip()
        shown = not node.get("ignored") and kind not in _SILENT
        if kind == "StaticText":
            shown = shown and bool(called)
            line = f'"{called}"'
        else:
            told = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
            words = [kind, *([f'"{called}"'] if called else [])]
            words += [_told(what, told[what]) for what in _TOLD if told.get(what) not in {None, False, "false", ""}]
            if isinstance(node.get("value"), dict) and _value(node, "value"):
                words.append(f'holds "{_value(node, "value")}"')
            if _value(node, "description"):
                words.append(f'described as "{_value(node, "description")}"')
            line = " ".join(words)
        if shown:
            lines.append("  " * depth + line)
        if shown and kind in _NAMED_BY_CONTENT:
            return
        # What was typed is the field's value already.
        if kind == "textbox":
            return
        for child in node.get("childIds", []):
            if child in by_id:
                walk(by_id[child], depth + shown)

    walk(top, 0)
    # The seconds pass, and so do the tests.
    return re.sub(r"\b\d+ s\b", "N s", "\n".join(lines)) + "\n"


def _value(node: dict[str, Any], what: str) -> str:
    return str(node.get(what, {}).get("value", ""))


def _told(what: str, value: Any) -> str:
    return what if value is True or value == "true" else f"{what} {value}"


def heard(page: Page) -> str:
    """Return what was said aloud since the last time, a line each."""
    said: list[str] = page.evaluate("window.heard.splice(0)")
    return "".join(f'says: "{re.sub(r"[0-9]+ s", "N s", text)}"\n' for text in said)


def walked(stack: Stack, visitor: Visitor) -> list[str]:
    """Go the main road as docs/access.md tells it, and return what there was at each step."""
    visitor.context.add_init_script(LISTENER)
    looker = Looker(stack, visitor)
    looker.mobile = MOBILE
    tab, found = looker.tab, []
    way = ("region", "With a text message")

    tab.go("/login/")
    found.append(tree(tab.page))

    stack.hang(stack.workers[0])
    try:
        tab.ask(MOBILE)
        tab.shows("queued", 0)
        tab.button_waits()
        expect(tab("#code")).to_be_focused()
        found.append(heard(tab.page) + tree(tab.page, *way))
    finally:
        stack.workers[0].signal(signal.SIGCONT)
    tab.shows("sent", 1)
    stack.wait_for_state("sent")
    stack.rows("UPDATE tasks_delivery SET state = 'delivered'")
    # The row is news to nobody but who asks.
    tab.page.evaluate("window.heard.splice(0); htmx.trigger('#poll', 'poll')")
    tab.shows("delivered")
    found.append(heard(tab.page) + tree(tab.page, "status"))

    tab.enter(looker.wrong_code)
    expect(tab("#verify-message")).not_to_be_empty()
    field = tree(tab.page, "textbox", "Code from the text message")
    found.append(heard(tab.page) + field.replace(looker.wrong_code, "NNNNNN"))

    stack.user("alice", password=PASSWORD)
    tab.login("alice", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.is_live()
    found.append(tree(tab.page))
    return found


def main() -> None:
    """Write what a walk has found into the page, and leave its words alone."""
    from tests.browser.chromium import launch
    from tests.browser.window import browse

    compile_catalogue()
    folder = Path(tempfile.mkdtemp())
    try:
        with site(folder) as stack, sync_playwright() as playwright:
            browser = launch(playwright)
            found = iter(walked(stack, browse(browser, stack, lambda *_: None)))
            browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    PAGE.write_text(BLOCK.sub(lambda step: f"{step[1]}\n{step[2]}```text\n{next(found)}```", PAGE.read_text()))


if __name__ == "__main__":
    main()
