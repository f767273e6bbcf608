"""What a page shows of the site's own name: `{% get_branding as branding %}` in a template, and the icons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from project.branding import ICP_REGISTER, PRODUCT
from project.web import static


@dataclass(frozen=True, slots=True)
class Branding:
    """The site's name, its pictures and its links. A picture is a static file by its name, empty if there is none."""

    name: str
    # False while the site is called as the product is.
    is_own: bool
    # Shown beside the name, and as the page's icon. Empty: the product's own, which the pages have as a drawing.
    mark: str
    # The media type of `mark`.
    mark_type: str
    # What a chat shows beside a link to the site. `has_card`: it is as large as ours; else it is the mark.
    card: str
    has_card: bool
    # Where the name in the header leads.
    home: str
    terms_url: str
    privacy_url: str
    support_url: str
    icp_number: str
    icp_register: str
    has_links: bool
    # Whether the site has a folder of its own, in which site_head.html may be.
    has_folder: bool
    # Whether a first sign-in makes an account.
    sign_up: bool


@cache
def current() -> Branding:
    """Return the branding that the settings say."""
    own = settings.SITE_NAME != PRODUCT
    mark = f"mark{settings.SITE_MARK.suffix}" if settings.SITE_MARK else static.MONOGRAM if own else ""
    has_card = not (own or mark) or not static.is_ours("card.png")
    return Branding(
        name=settings.SITE_NAME,
        is_own=own,
        mark=mark,
        mark_type="image/png" if mark.endswith(".png") else "image/svg+xml",
        card="card.png" if has_card else mark if mark.endswith(".png") else "",
        has_card=has_card,
        home="/" if settings.HOME_PAGE == "page" else settings.HOME_PAGE,
        terms_url=settings.TERMS_URL,
        privacy_url=settings.PRIVACY_URL,
        support_url=settings.SUPPORT_URL,
        icp_number=settings.ICP_NUMBER,
        icp_register=ICP_REGISTER,
        has_links=any((settings.TERMS_URL, settings.PRIVACY_URL, settings.SUPPORT_URL, settings.ICP_NUMBER)),
        has_folder=settings.SITE_DIR is not None,
        sign_up=settings.SIGN_UP,
    )


def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect from where browsers look for an icon without having read a page to the site's mark."""
    return HttpResponseRedirect(staticfiles_storage.url(current().mark or "favicon.svg"))


def touch_icon(request: HttpRequest) -> HttpResponse:
    """Redirect from where iOS looks for an icon to one that it can show, a PNG. Raises Http404 if there is none.

    iOS then shows a picture of the page.
    """
    mark = current().mark
    if mark and static.is_ours("touch.png"):
        if not mark.endswith(".png"):
            raise Http404
        return HttpResponseRedirect(staticfiles_storage.url(mark))
    return HttpResponseRedirect(staticfiles_storage.url("touch.png"))
