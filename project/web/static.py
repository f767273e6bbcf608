"""Static files: minified, named by a hash of their content, compressed, and served from memory without collectstatic.

Pages refer to a file by its hashed name, which browsers cache for a year. The plain name works too, and so does the
hash of another version: a page that was open during an update keeps working.

docs/development.md says why this is not WhiteNoise.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpResponse, HttpResponseNotAllowed
from django.utils.cache import get_conditional_response, patch_vary_headers

from project import branding

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Excludes hidden files, paths that leave the folder, and names that a file system rejects.
NAME = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*", re.ASCII)
HASHED = re.compile(r"(?P<stem>.+)\.(?P<hash>[0-9a-f]{12})(?P<suffix>\.[^./]+)")
# Only our own files are minified: packages ship theirs minified.
OWN_FILES = settings.BASE_DIR / "static"
# Types that mimetypes may not know, or names differently on some systems.
TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}
# Together they compress better.
BUNDLES = {
    "page.js": (
        "django_htmx/htmx-2.min.js",
        "django_htmx/ext/hx-ws-2.min.js",
        *("latchkey.js", "title.js", "sign-in.js"),
    ),
    # Under a name that is not ours, for a site that has its own.
    "page.css": ("leaves.css", "latchkey.css"),
    # In front of it: a site's own base template takes leaves.css alone.
    "latchkey.css": ("leaves.css", "latchkey.css"),
}
# The stylesheet by both its names: it ends with the site's colour.
SHEETS = {"latchkey.css", "page.css"}
# Made from the site's name; not a file.
MONOGRAM = "monogram.svg"
# In order of preference.
ENCODINGS = ("br", "gzip")
# An encoding in the list of Accept-Encoding, unless its weight is zero (RFC 9110, 12.5.3).
ACCEPTED = r"(?:^|,)\s*{}\s*(?:,|$|;(?!\s*q=0(?:\.0*)?\s*(?:,|$)))"
CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"
CACHE_FOR_AN_HOUR = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class File:
    """A file, or a bundle of files, as it is served."""

    name: str
    body: bytes
    type: str
    hash: str
    # st_mtime_ns of the newest file in it.
    modified_ns: int
    # The compressed bodies, each made when a browser first accepts its encoding.
    compressed: dict[str, bytes] = field(default_factory=dict)

    @property
    def versioned_name(self) -> str:
        """Return the name with the hash of this content."""
        stem, dot, suffix = self.name.rpartition(".")
        return f"{stem}.{self.hash}.{suffix}" if dot else self.name

    def encoded(self, encoding: str) -> bytes:
        if encoding not in self.compressed:
            self.compressed[encoding] = _compressed(self.body, encoding)
        return self.compressed[encoding]


# The files requested so far. If two threads build the same file at once, both results are equal.
_files: dict[str, File] = {}


def find(name: str) -> File | None:
    """Return a file by its plain name, None if there is none."""
    if name == MONOGRAM:
        return _monogram()
    file = _files.get(name)
    # Under DEBUG a file may have been edited since.
    if file is None or settings.DEBUG:
        paths = [_path(part) for part in BUNDLES.get(name, (name,))]
        if None in paths:
            return None
        found = [path for path in paths if path]
        modified_ns = max(path.stat().st_mtime_ns for path in found)
        if file is None or file.modified_ns != modified_ns:
            file = _files[name] = _build(name, found, modified_ns)
    return file


def find_by_any_name(name: str) -> tuple[File | None, bool]:
    """Return a file by its plain or a hashed name, and whether the hash is that of its present content."""
    parts = HASHED.fullmatch(name)
    if parts and (file := find(parts["stem"] + parts["suffix"])):
        return file, file.versioned_name == name
    return find(name), False


class Storage(StaticFilesStorage):
    """The storage behind `{% static %}`."""

    def url(self, name: str | None) -> str:
        """Return the URL with the hashed name. A missing file keeps its plain name, and its URL answers 404."""
        file = find(name or "")
        # Such a name needs no quoting (NAME), which is most of what Django's own method does.
        return f"{self.base_url}{file.versioned_name}" if file else super().url(name)


def serve(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Serve static files, before any middleware reads a session or a language."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(settings.STATIC_URL):
            return get_response(request)
        file, exact = find_by_any_name(request.path_info.removeprefix(settings.STATIC_URL))
        if file is None:
            return get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"], content_type="text/plain; charset=utf-8")
        return _answer(
            request, file, CACHE_FOR_A_YEAR if exact else "no-cache" if settings.DEBUG else CACHE_FOR_AN_HOUR
        )

    return middleware


def _answer(request: HttpRequest, file: File, cache_control: str) -> HttpResponseBase:
    accepted = request.headers.get("Accept-Encoding", "")
    encoding = next((one for one in ENCODINGS if re.search(ACCEPTED.format(one), accepted)), "")
    # Other images are compressed already.
    if file.type.startswith("image/") and "svg" not in file.type:
        encoding = ""
    body = file.encoded(encoding) if encoding else file.body
    etag = f'"{file.hash}{encoding}"'
    response = HttpResponse(body, content_type=file.type)
    if body is not file.body:
        response["Content-Encoding"] = encoding
    response["ETag"] = etag
    response["Cache-Control"] = cache_control
    patch_vary_headers(response, ["Accept-Encoding"])
    return get_conditional_response(request, etag=etag, response=response) or response


def is_ours(name: str) -> bool:
    """Tell whether a file comes from this repository: the site has not put its own in its place."""
    path = _path(name)
    return path is not None and path.is_relative_to(OWN_FILES)


def _path(name: str) -> Path | None:
    if settings.SITE_MARK and name == f"mark{settings.SITE_MARK.suffix}":
        return settings.SITE_MARK if settings.SITE_MARK.is_file() else None
    # Without the admin (ADMIN=0), its files are not served either.
    hidden = name.startswith("admin/") and not settings.ADMIN
    found = finders.find(name) if NAME.fullmatch(name) and not hidden else None
    return Path(found) if found and Path(found).is_file() else None


def _build(name: str, paths: list[Path], modified_ns: int) -> File:
    body = b"\n".join(_minified(path) if path.is_relative_to(OWN_FILES) else path.read_bytes() for path in paths)
    if name in SHEETS:
        body += branding.stylesheet(settings.SITE_COLOUR).encode()
    content_type = TYPES.get(paths[0].suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    # XML is text too, and text states its charset (ASVS 5.0, 4.1.1).
    if content_type.startswith("text/") or content_type.endswith("xml"):
        content_type += "; charset=utf-8"
    return File(name, body, content_type, _hash(body), modified_ns)


@cache
def _monogram() -> File:
    body = branding.monogram(settings.SITE_NAME, settings.SITE_COLOUR).encode()
    return File(MONOGRAM, body, f"{TYPES['.svg']}; charset=utf-8", _hash(body), 0)


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:12]


def _minified(path: Path) -> bytes:
    # Imported here because the worker and manage.py serve no files.
    import rcssmin
    import rjsmin

    body = path.read_bytes()
    match path.suffix:
        case ".css":
            return bytes(rcssmin.cssmin(body))
        case ".js":
            return bytes(rjsmin.jsmin(body))
        case ".svg":
            return re.sub(rb"<!--.*?-->|(?<=>)\s+(?=<)", b"", body, flags=re.DOTALL).strip()
    return body


def _compressed(body: bytes, encoding: str) -> bytes:
    import brotli
    import zopfli.gzip

    # Quality 11 saves 2 % more, but the first visitor would wait 0.25 s for it. Zopfli saves 3 % in 0.15 s.
    smaller = brotli.compress(body, quality=10) if encoding == "br" else zopfli.gzip.compress(body)
    return smaller if len(smaller) < len(body) else body
