"""What can be measured of a page as it stands there: what axe finds, and what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

    from tests.browser.window import Tab

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
SMALL: ViewportSize = {"width": 320, "height": 568}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": WIDE, "color_scheme": "light"},
    "dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True, "is_mobile": True},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
}
# What WCAG 2.2 asks for, at the level that the law asks for, and what its authors call good practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# The rules that look at colours: all that another colour scheme can break.
COLOURS = ["color-contrast", "link-in-text-block"]
_AXE = Axe()

# A page that is still fading in has colours and places of no rule.
_COME_TO_REST = """() => {
  for (const motion of document.getAnimations()) {
    if (motion.effect.getTiming().iterations !== Infinity) motion.finish();
  }
}"""

# What cannot be seen is not measured: hidden, for the ear only, clipped away until it has the keyboard.
_SEEN = """
  const seen = (element) => {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    for (let each = element; each; each = each.parentElement) {
      if (getComputedStyle(each).clipPath !== "none") return false;
    }
    return true;
  };
  const name = (element) => {
    const own = element.id ? "#" + element.id : element.tagName.toLowerCase();
    const kind = element.classList[0] ? "." + element.classList[0] : "";
    const around = element.parentElement;
    const where = around?.id ? "#" + around.id + " > " : around?.classList[0] ? "." + around.classList[0] + " > " : "";
    return where + own + kind;
  };
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, noscript, option") || !seen(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const own = element.getBoundingClientRect();
    // A name that somebody chose may be as long as it likes: it ends in an ellipsis.
    const ends = getComputedStyle(element).textOverflow === "ellipsis" ? own.right : Infinity;
    let boxes = [...range.getClientRects()].filter((box) => box.width > 0 && box.height > 0).map(
      ({ left, right, top, bottom, height }) => ({ left, right: Math.min(right, ends), top, bottom, height }));
    // What has been scrolled out of a box of its own is not there.
    for (let each = element; each !== document.body; each = each.parentElement) {
      if (!["auto", "scroll"].includes(getComputedStyle(each).overflowY)) continue;
      const around = each.getBoundingClientRect();
      boxes = boxes.filter((box) => box.bottom > around.top + 1 && box.top < around.bottom - 1);
      for (const box of boxes) box.bottom = Math.min(box.bottom, around.bottom);
    }
    if (boxes.length) texts.push({ node, element, boxes, what: `${name(element)} "${node.data.trim().slice(0, 40)}"` });
  }
"""

_MISFITS = (
    "() => {"
    + _SEEN
    + """
  const found = [];
  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) found.push(`the page is ${wide.scrollWidth - wide.clientWidth} px too wide`);
  for (const { element, boxes, what } of texts) {
    for (const box of boxes) {
      if (box.left < -1 || box.right > wide.clientWidth + 1) found.push(`${what} is outside of the window`);
      // Within each box that it stands in: a button, a card, whatever cuts off what does not fit.
      for (let each = element; each !== document.body; each = each.parentElement) {
        const style = getComputedStyle(each);
        const edge = style.borderInlineStartStyle !== "none" || style.overflowX !== "visible"
          || each.matches("button, .button, label");
        if (!edge || style.display.startsWith("inline") && !each.matches("button, .button")) continue;
        const around = each.getBoundingClientRect();
        const beside = box.left < around.left - 1 || box.right > around.right + 1;
        if (beside) found.push(`${what} stands out of ${name(each)}`);
        const cut = style.overflowY !== "visible" && style.overflowY !== "auto" && style.overflowY !== "scroll";
        if ((cut || each.matches("button, .button")) && box.bottom > around.bottom + 2) {
          found.push(`${what} stands out below ${name(each)}`);
        }
      }
    }
  }
  // No word upon another. A line's box is higher than its letters, so a little is nothing.
  texts.forEach((one, n) => {
    for (const other of texts.slice(n + 1)) {
      const over = one.boxes.some((a) => other.boxes.some((b) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > Math.min(a.height, b.height) * 0.35));
      if (over) found.push(`${one.what} lies upon ${other.what}`);
    }
  });
  return [...new Set(found)];
}"""
)

_TEXTS = (
    "() => {"
    + _SEEN
    + """
  const found = texts.map(({ node, element }) => ({ text: node.data.trim(), where: name(element),
    // Names, numbers and what a person or a program wrote need no translation.
    own: Boolean(element.closest(".brand, .languages, .who, bdi, time, code, kbd, [translate=no]")) }));
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder], [alt]")) {
    for (const attribute of ["aria-label", "title", "placeholder", "alt"]) {
      const text = element.getAttribute(attribute)?.trim();
      if (text) found.push({ text, where: `${name(element)} ${attribute}`, own: Boolean(element.closest(".who")) });
    }
  }
  found.push({ text: document.title, where: "title", own: false });
  return found.filter(({ own }) => !own);
}"""
)

# WCAG 2.5.8: 24 by 24 CSS pixels, but for links within a sentence and what the browser draws.
_SMALL_TARGETS = (
    "() => {"
    + _SEEN
    + """
  const targets = document.querySelectorAll("a[href], button, input:not([type=hidden]), summary, [tabindex='0']");
  return [...targets].filter(seen).flatMap((each) => {
    const within = getComputedStyle(each).display === "inline"
      && each.parentElement.textContent.trim() !== each.textContent.trim();
    // A tick can be hit on its whole label.
    const boxes = [each, ...(each.labels ?? [])].map((one) => one.getBoundingClientRect());
    const width = Math.max(...boxes.map((box) => box.width)), height = Math.max(...boxes.map((box) => box.height));
    const box = { width, height };
    return within || (box.width >= 24 && box.height >= 24)
      ? [] : [`${name(each)} is ${box.width.toFixed()} by ${box.height.toFixed()} px`];
  });
}"""
)

# WCAG 1.4.12: what a reader may set without losing anything. As the reader's own styles, past the site's policy.
_SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`p { margin-block-end: 2em !important }
    * { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important }`);
  document.adoptedStyleSheets = [sheet];
}"""


def rest(tab: Tab) -> None:
    """End every motion that has an end."""
    tab.page.evaluate(_COME_TO_REST)


def faults(tab: Tab, where: str, *, only_colours: bool = False) -> list[str]:
    """Return what axe finds on a page as it is now."""
    rest(tab)
    if tab.page.evaluate("typeof axe") != "object":
        tab.page.evaluate(_AXE.axe_script)
    rules = {"type": "rule", "values": COLOURS} if only_colours else {"type": "tag", "values": TAGS}
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = tab.page.evaluate("options => axe.run(options)", options)["violations"]
    return [f"{where}: {rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']]}" for rule in found]


def overflow(tab: Tab) -> int:
    """Return how many pixels stand out at the side."""
    wide: int = tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


def misfits(tab: Tab) -> list[str]:
    """Return each text that is outside of its box or upon another, and whether the page is too wide."""
    rest(tab)
    found: list[str] = tab.page.evaluate(_MISFITS)
    return found


def small_targets(tab: Tab) -> list[str]:
    """Return what is too small for a finger."""
    found: list[str] = tab.page.evaluate(_SMALL_TARGETS)
    return found


def texts(tab: Tab) -> list[dict[str, str]]:
    """Return every text that is ours to say, each with `where` it stands."""
    found: list[dict[str, str]] = tab.page.evaluate(_TEXTS)
    return found


def spaced(tab: Tab, *, on: bool) -> None:
    """Set the spaces that a reader with dyslexia may want, or take them back."""
    tab.page.evaluate(_SPACED if on else "() => { document.adoptedStyleSheets = [] }")
