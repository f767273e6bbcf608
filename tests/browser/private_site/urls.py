"""A page that is private as a whole, one with a private part, one that listens, and one that shows nobody anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.template import engines
from django.urls import path
from django.views.decorators.cache import cache_control

from project.urls import handler400, urlpatterns

if TYPE_CHECKING:
    from collections.abc import Callable

    from project.web.http import Request

__all__ = ["handler400", "urlpatterns"]

PRIVATE = """
{% extends "base.html" %}
{% block body %} data-private{% endblock %}
{% block content %}<h1>Diary</h1><p id="diary">The diary of {{ user.username }}</p>{% endblock %}
"""
PARTLY = """
{% extends "base.html" %}
{% block content %}
  <label>Comment <input id="comment"></label>
  <p id="diary" data-private>The diary of {{ user.username }}</p>
  <p id="public">For everybody</p>
{% endblock %}
"""
LISTENS = """
{% extends "base.html" %}
{% block body %} data-private{% endblock %}
{% block content %}
  <p id="heard"></p>
  <p id="diary">The diary of {{ user.username }}</p>
  <script nonce="{{ request.csp_nonce }}">
    document.addEventListener("latchkey:session", (event) => {
      document.getElementById("heard").textContent += "[" + event.detail.user + "]";
      event.preventDefault();
    });
  </script>
{% endblock %}
"""
PUBLIC = """
{% extends "base.html" %}
{% block content %}<h1 id="public">For everybody</h1>{% endblock %}
"""


def page(source: str) -> Callable[[Request], HttpResponse]:
    """Return a view that shows a template."""

    def view(request: Request) -> HttpResponse:
        return HttpResponse(engines["django"].from_string(source).render({}, request))

    return view


urlpatterns += [
    path("private/", login_required(page(PRIVATE))),
    # Says itself that browsers may keep it.
    path("kept/", cache_control(private=True)(login_required(page(PRIVATE)))),
    path("partly/", page(PARTLY)),
    path("listens/", login_required(page(LISTENS))),
    path("open/", page(LISTENS)),
    path("public/", page(PUBLIC)),
]
