"""Our files: made small, named by what is in them, and served from memory. No step before a start prepares them.

A page calls a file by a name with a hash in it, and a browser keeps that for a year. The plain name, and a name whose
hash is another version's, answer as well: a page that was open while a new version came goes on working.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage, staticfiles_storage
from django.http import HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils.cache import get_conditional_response, patch_vary_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# No hidden file, nothing that leads out of its folder, nothing that a file system would not take.
NAME = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*", re.ASCII)
HASHED = re.compile(r"(?P<stem>.+)\.(?P<hash>[0-9a-f]{12})(?P<suffix>\.[^./]+)")
# The files that are made smaller. Others' come small already.
OURS = settings.BASE_DIR / "static"
# Text says its charset, and XML is text (ASVS 5.0, 4.1.1).
TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}
# Files that go as one. Every page wants all of them, and together they are smaller: each can lean on the one before.
BUNDLES = {"page.js": ("django_htmx/htmx-2.min.js", "django_htmx/ext/hx-ws-2.min.js", "latchkey.js")}
# Best first, by its name in Accept-Encoding.
CODINGS = ("br", "gzip")
# Named in a list, and not with a weight of nothing (RFC 9110, 12.5.3).
ACCEPTED = r"(?:^|,)\s*{}\s*(?:,|$|;(?!\s*q=0(?:\.0*)?\s*(?:,|$)))"
FOREVER = "public, max-age=31536000, immutable"
SHORTLY = "public, max-age=3600"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served."""

    name: str
    body: bytes
    type: str
    hash: str
    # Of the newest file that it was made of.
    modified: int
    # The body by its coding, made when a browser first wants it.
    coded: dict[str, bytes] = field(default_factory=dict)

    @property
    def lasting_name(self) -> str:
        """Return the name that nothing else will ever have."""
        stem, dot, suffix = self.name.rpartition(".")
        return f"{stem}.{self.hash}.{suffix}" if dot else self.name

    def in_coding(self, coding: str) -> bytes:
        """Return the body in a coding."""
        if coding not in self.coded:
            self.coded[coding] = _compressed(self.body, coding)
        return self.coded[coding]


# What has been asked for so far. Two threads may make the same file at once: both are right.
_files: dict[str, File] = {}


def find(name: str) -> File | None:
    """Return a file by its plain name."""
    file = _files.get(name)
    # While somebody works on them, files change.
    if file is None or settings.DEBUG:
        paths = [_path(part) for part in BUNDLES.get(name, (name,))]
        if None in paths:
            return None
        found = [path for path in paths if path]
        modified = max(path.stat().st_mtime_ns for path in found)
        if file is None or file.modified != modified:
            file = _files[name] = _made(name, found, modified)
    return file


def find_asked(name: str) -> tuple[File | None, bool]:
    """Return what an address means, and whether it is exactly the version that the address names."""
    parts = HASHED.fullmatch(name)
    if parts and (file := find(parts["stem"] + parts["suffix"])):
        return file, file.lasting_name == name
    return find(name), False


class Storage(StaticFilesStorage):
    """What `{% static %}` asks for an address."""

    def url(self, name: str | None) -> str:
        """Return the address of this version of a file. One that is not there keeps its name, and is not found."""
        file = find(name or "")
        return super().url(file.lasting_name if file else name)


def serve(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answer for files, before a session or a language is looked for."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(settings.STATIC_URL):
            return get_response(request)
        file, exact = find_asked(request.path_info.removeprefix(settings.STATIC_URL))
        if file is None:
            return get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"], content_type="text/plain; charset=utf-8")
        return _answer(request, file, FOREVER if exact else "no-cache" if settings.DEBUG else SHORTLY)

    return middleware


def icon(request: HttpRequest, name: str) -> HttpResponse:
    """Send on who asks for an icon where it is without a page that names it."""
    return HttpResponseRedirect(staticfiles_storage.url(name))


def _answer(request: HttpRequest, file: File, kept: str) -> HttpResponseBase:
    accepted = request.headers.get("Accept-Encoding", "")
    coding = next((one for one in CODINGS if re.search(ACCEPTED.format(one), accepted)), "")
    # A picture does not become smaller.
    if file.type.startswith("image/") and "svg" not in file.type:
        coding = ""
    body = file.in_coding(coding) if coding else file.body
    etag = f'"{file.hash}{coding}"'
    response = HttpResponse(body, content_type=file.type)
    if body is not file.body:
        response["Content-Encoding"] = coding
    response["ETag"] = etag
    response["Cache-Control"] = kept
    patch_vary_headers(response, ["Accept-Encoding"])
    return get_conditional_response(request, etag=etag, response=response) or response


def _path(name: str) -> Path | None:
    # Where there is no admin, its files are not there either.
    hidden = name.startswith("admin/") and not settings.ADMIN
    found = finders.find(name) if NAME.fullmatch(name) and not hidden else None
    return Path(found) if found and Path(found).is_file() else None


def _made(name: str, paths: list[Path], modified: int) -> File:
    body = b"\n".join(_small(path) if path.is_relative_to(OURS) else path.read_bytes() for path in paths)
    kind = TYPES.get(paths[0].suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind.startswith("text/") or kind.endswith("xml"):
        kind += "; charset=utf-8"
    return File(name, body, kind, hashlib.sha256(body).hexdigest()[:12], modified)


def _small(path: Path) -> bytes:
    """Return a file without its comments and its layout, which are for us."""
    # Imported here: a worker and manage.py serve no files.
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


def _compressed(body: bytes, coding: str) -> bytes:
    """Return a body in a coding, or as it is when that is no larger."""
    import brotli

    # 10 and not 11: a quarter of a second for two percent, while the first visitor waits.
    small = brotli.compress(body, quality=10) if coding == "br" else gzip.compress(body, 9, mtime=0)
    return small if len(small) < len(body) else body
