"""What a page says and does about cookies: none are kept, or a sibling site has one of the same name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import ARGUMENTS, binary
from tests.browser.window import Tab, Visitor
from tests.support.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Playwright

    from tests.support.stack import Stack

pytestmark = pytest.mark.browser

PASSWORD = "seven brown owls on a roof"
# Chromium's setting "block all cookies".
BLOCK = {"profile": {"default_content_setting_values": {"cookies": 2}}}


def test_a_browser_that_keeps_no_cookies_is_told_so_by_every_form(
    playwright: Playwright, stack: Stack, tmp_path: Path
) -> None:
    """The page's script and the plain form say the same: it is the cookies, not the page."""
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(json.dumps(BLOCK))
    context = playwright.chromium.launch_persistent_context(
        str(profile), executable_path=binary(), args=ARGUMENTS, headless=True, locale="en-US"
    )
    try:
        tab = Tab(context.new_page(), stack.url)
        tab.go("/login/", live=False)
        tab("#mobile").fill(number())
        tab(".ask button").click()
        tab("#trouble").get_by_text("cookies").wait_for()
        tab.by("password")
        tab("#username").fill("somebody")
        tab("#password").fill(PASSWORD)
        tab(".password-way .main.button").click()
        tab("#trouble").get_by_text("cookies").wait_for()
        assert context.cookies() == []
    finally:
        context.close()


@pytest.mark.parametrize("older", [True, False], ids=["older", "newer"])
def test_a_sibling_s_token_for_the_whole_domain_stops_no_form(
    visit: Callable[..., Visitor], make_stack: Callable[..., Stack], older: bool
) -> None:
    """T-47: plain http has no __Host- names. Script and Django read different ones of two cookies with one name."""
    stack = make_stack(ALLOWED_HOSTS="login.example.test")
    stack.user("sibling", password=PASSWORD)
    visitor = visit(stack)
    # Not a secure context, which is the point.
    visitor.expects("Cross-Origin-Opener-Policy header has been ignored")
    visitor.url = stack.url.replace("127.0.0.1", "login.example.test")
    sibling: Any = {"name": "csrftoken", "value": "a" * 32, "domain": ".example.test", "path": "/"}
    if older:
        visitor.context.add_cookies([sibling])
    tab = visitor.open("/login/")
    if not older:
        visitor.context.add_cookies([sibling])
        tab.go("/login/")
    tab.login("sibling", PASSWORD)
    tab.user("sibling")
    tab.logout()
    tab.user("")
