"""Settings that must not start a site. Each check raises `env.BadSetting`: a line that says what to write instead.

The line of every other wrong setting is added to it, see project/wrong_settings.py: a check just calls `env.refuse`.

These are functions that project/settings.py calls, and not checks of Django's framework: daphne and huey_consumer never
run those, and a wrong value has to stop every program alike.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dj_database_url
from django.http.request import validate_host
from phonenumbers import SUPPORTED_REGIONS
from redis import ConnectionPool

from project import env, wrong_settings
from project.gateway_settings import Declaration

# What stands where a key belongs in somebody's example.
SAMPLES = re.compile(r"insecure|(?:change|replace).?(?:me|this)|secret.?key|example|placeholder|your.?(?:own|key)")
# What people and browsers call our languages.
LANGUAGES = {"en": "en", "zh-hans": "zh-hans", "zh": "zh-hans", "zh-cn": "zh-hans"}
# Paths whose bodies stay small, whatever a site's own views take.
LOGIN_PATHS = ("/login/", "/logout/", "/code/", "/password/", "/state/", "/proof/", "/receipts/", "/i18n/", "/static/")
# Bytes. A body is held in memory as a whole.
LARGEST_BODY = 100 * 1024 * 1024
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


def secret_key(name: str, key: str) -> str:
    """Return a key that nobody can guess; refuse one that is missing, short, plain, or out of an example."""
    if not key:
        env.refuse(name, "is not set", "Write 50 random characters; DEBUG=1 makes a key of its own.")
    if len(key) < 32 or len(set(key)) < 10:
        env.refuse(name, "is too short or too plain", "Write 50 random characters.")
    # A short text that is repeated becomes much smaller; random letters do not.
    if SAMPLES.search(key.lower()) or len(zlib.compress(key.encode())) < 32:
        env.refuse(name, "is a sample, not a secret", "Write 50 random characters.")
    return key


def public_origin(written: str) -> str:
    """Return the address that visitors see, as a browser writes it in `Origin`."""
    origin = written.rstrip("/").lower()
    if not origin:
        env.refuse("PUBLIC_ORIGIN", "is not set", "Write what visitors see: PUBLIC_ORIGIN=https://login.example.org.")
    try:
        parts = urlsplit(origin)
        plain = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        parts, plain = urlsplit(""), ""
    if parts.hostname and not origin.isascii():
        # RFC 6454, 6.2: a browser writes the name's ASCII form into Origin and Host.
        plain = env.ascii_host(parts.hostname)
        write = f"PUBLIC_ORIGIN={parts.scheme}://{plain}" if plain else "PUBLIC_ORIGIN=https://login.example.org"
        env.refuse("PUBLIC_ORIGIN", f"is {origin!r}, which is not in ASCII", f"Write its xn-- form, such as {write}.")
    # A browser writes no path, no name and password, and a port that is a number. [::1] has lost its brackets.
    if parts.scheme not in {"http", "https"} or origin.replace("[", "").replace("]", "") != plain or "*" in origin:
        env.refuse(
            "PUBLIC_ORIGIN", f"is {origin!r}", "Write scheme and host only: PUBLIC_ORIGIN=https://login.example.org."
        )
    return origin


def allowed_hosts(written: list[str], public_host: str) -> list[str]:
    """Return the names that are answered: those that visitors use, the public one always among them."""
    public = f"[{public_host}]" if ":" in public_host else public_host
    names = [name.lower() for name in written] or [public]
    if "*" in names:
        env.refuse("ALLOWED_HOSTS", "holds '*'", "Write the host names that visitors use, with commas.")
    for name in names:
        if not re.fullmatch(r"\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", name):
            plain = env.ascii_host(name)
            write = "Write host names without scheme, port and path, such as ALLOWED_HOSTS=login.example.org"
            env.refuse("ALLOWED_HOSTS", f"holds {name!r}", f"{write}{f', or {plain} for this one' if plain else ''}.")
    if not validate_host(public, [*names, *LOOPBACK]):
        names.insert(0, public)
    # A health check on this machine asks for one of its own names.
    return [*names, *LOOPBACK]


def redis_url(url: str) -> str:
    """Return an address of Redis. The library's error may hold the password, so it is not passed on."""
    try:
        ConnectionPool.from_url(url)
    except ValueError:
        url = ""
    return url or env.refuse(
        "REDIS_URL", "is not an address of Redis", "Write REDIS_URL=redis://:password@host:6379/0."
    )


def database_url(url: str) -> str:
    """Return an address of a database. The library's error may hold the password, so it is not passed on."""
    try:
        dj_database_url.parse(url)
        words = parse_qs(urlsplit(url).query, keep_blank_values=True)
    except (ValueError, KeyError):
        url, words = "", {}
    if not url:
        env.refuse("DATABASE_URL", "cannot be read", "Write DATABASE_URL=postgres://user:password@host:5432/name.")
    if "currentSchema" in words:
        # Java's word. dj-database-url makes `options` of it, or `options` replace it.
        env.refuse("DATABASE_URL", "holds currentSchema=", "Write options=-c%20search_path%3Dname in its place.")
    return url


def key_prefix(prefix: str, *, queue_name: str) -> str:
    """Return what every name in Redis begins with; by default the queue's name, as far as Huey takes its characters."""
    prefix = prefix or re.sub(r"\W", "", queue_name, flags=re.ASCII) or "latchkey"
    if not re.fullmatch(r"[A-Za-z0-9_]+", prefix):
        env.refuse("KEY_PREFIX", f"is {prefix!r}", "Write letters, digits and _ only, such as KEY_PREFIX=shop.")
    return prefix


def broker_url(url: str) -> str:
    """Return an address of RabbitMQ, or nothing: the queue is in Redis then."""
    if url:
        # Imported here: without RabbitMQ no start waits for its client.
        from project.broker.address import Address

        if Address.parse(url) is None:
            env.refuse(
                "BROKER_URL",
                "is not an address of RabbitMQ",
                "Write BROKER_URL=amqp://user:password@host:5672/vhost with special characters as %2F, or leave it "
                "out: the queue is in Redis then.",
            )
    return url


def gateways(names: list[str], known: Iterable[str], *, debug: bool) -> list[str]:
    """Return the names of the gateways that send."""
    for name in names:
        if name not in known:
            env.refuse("SMS_GATEWAYS", f"names {name!r}, which is not known", f"Write one of: {', '.join(known)}.")
    if "phone" in names and not debug:
        env.refuse(
            "SMS_GATEWAYS",
            "is 'phone', the dev phone, which shows every code to everybody",
            "Write a real gateway, or DEBUG=1 to try it out.",
        )
    return names


def routes(written: list[str], gateways: list[str]) -> dict[str, list[str]]:
    """Return the chains of gateways by region, as SMS_ROUTES=HK:twilio,CN:yuntongxun+aliyun says."""
    chains = {}
    for route in written:
        region, _colon, names = route.partition(":")
        chains[region.upper()] = chain = [name for name in names.split("+") if name]
        if not chain or not set(chain) <= set(gateways):
            env.refuse("SMS_ROUTES", f"holds {route!r}", "Write REGION:gateway+gateway, each also in SMS_GATEWAYS.")
    return chains


def regions(written: list[str]) -> list[str]:
    """Return the regions whose numbers are taken."""
    names = [name.upper() for name in written]
    for name in names:
        if name not in SUPPORTED_REGIONS:
            env.refuse(
                "SMS_REGIONS", f"holds {name!r}", "Write two-letter regions with commas, such as SMS_REGIONS=CN,HK,GB."
            )
    return names


def language(written: str) -> str:
    """Return a language that the pages are in, by Django's name for it."""
    name = LANGUAGES.get(written.lower().replace("_", "-"))
    return name or env.refuse("LANGUAGE_CODE", f"is {written!r}", "Write LANGUAGE_CODE=en or LANGUAGE_CODE=zh-hans.")


def site_apps(names: list[str], *, own: Iterable[str]) -> list[str]:
    """Return the site's own Django apps: packages that can be imported, or the paths of their AppConfig classes."""
    for name in names:
        package = name.partition(".")[0]
        if package in own:
            env.refuse("SITE_APPS", f"names {name!r}, which is Latchkey's own", "Give your app another name.")
        # What a path names inside of its package is for Django to find.
        if not re.fullmatch(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*", name) or find_spec(package) is None:
            env.refuse(
                "SITE_APPS",
                f"names {name!r}, which is no Python package here",
                "Write the names of folders beside manage.py, with commas, such as SITE_APPS=notes,shop.",
            )
    return names


def body_limits(written: list[str]) -> dict[str, int]:
    """Return the largest body in bytes by the beginning of a path, as BODY_LIMITS=/notes/upload/:10M says."""
    limits = {}
    for limit in written:
        path, _colon, size = limit.rpartition(":")
        found = re.fullmatch(r"([0-9]{1,9})([KM]?)", size.upper())
        size_in_bytes = int(found[1]) * {"": 1, "K": 1024, "M": 1024 * 1024}[found[2]] if found else 0
        if not re.fullmatch(r"/[^/?#]+(?:/[^?#]*)?", path) or not 0 < size_in_bytes <= LARGEST_BODY:
            env.refuse(
                "BODY_LIMITS",
                f"holds {limit!r}",
                "Write the beginning of a path and a size of at most 100M, such as BODY_LIMITS=/notes/upload/:10M.",
            )
        if any(own.startswith(path) or path.startswith(own) for own in LOGIN_PATHS):
            env.refuse("BODY_LIMITS", f"holds {path!r}, which the login itself answers", "Write a path of your own.")
        limits[path] = size_in_bytes
    return limits


def refuse_wrong(values: Mapping[str, Any]) -> None:
    """Refuse settings that are right one by one, and wrong together. `values` are all of them by their names."""
    debug, origin = values["DEBUG"], values["PUBLIC_ORIGIN"]
    if debug and not env.is_loopback(values["HOST"]):
        env.refuse(
            "DEBUG",
            f"is on while HOST is {values['HOST']!r}: its dev phone shows every code to whoever asks",
            "Write HOST=127.0.0.1, or DEBUG=0 and the settings that a site in the world needs.",
        )
    if _is_insecure(values) and not values["INSECURE_HTTP"]:
        env.refuse(
            "PUBLIC_ORIGIN",
            f"is {origin!r}: whoever is on the way can read passwords and codes",
            "Write https://..., or INSECURE_HTTP=1 in a network that you trust.",
        )
    if values["SECURE_HSTS_PRELOAD"] and not values["SECURE_HSTS_INCLUDE_SUBDOMAINS"]:
        env.refuse(
            "HSTS_PRELOAD",
            "is on without HSTS_SUBDOMAINS, which browsers' lists ask for",
            "Write HSTS_SUBDOMAINS=1 as well, or HSTS_PRELOAD=0.",
        )
    for name in values["SMS_GATEWAYS"]:
        _refuse_wrong_gateway(name, values["GATEWAY_SETTINGS"][name], values)
    if values["SMS_BUDGET_RESERVE"] > values["SMS_BUDGET_HOUR"]:
        env.refuse("SMS_BUDGET_RESERVE", "is more than SMS_BUDGET_HOUR", "Write a part of it, such as a tenth.")
    if values["SMS_KEEP_DAYS"] == 1:
        env.refuse("SMS_KEEP_DAYS", "is 1, which forgets what limits count", "Write 2 or more days, or 0 for ever.")


def warn_of_risks(values: Mapping[str, Any], env_file: str) -> None:
    """Warn of what is allowed and still a risk. Comes after everything that stops a start: that is said alone."""
    if _is_insecure(values):
        origin = values["PUBLIC_ORIGIN"]
        env.warn(f"INSECURE_HTTP=1: passwords, codes and sessions of {origin} can be read on their way.")
    if env_file:
        env.warn_of_readers(env_file)
        for line in wrong_settings.mistyped(env_file):
            env.warn(line)


def _is_insecure(values: Mapping[str, Any]) -> bool:
    """Tell whether visitors come over plain http from other machines."""
    return not values["SECURE"] and not values["DEBUG"] and not env.is_loopback(values["PUBLIC_HOST"])


def _refuse_wrong_gateway(name: str, declaration: Declaration, values: Mapping[str, Any]) -> None:
    """Refuse what a gateway that sends cannot work with."""
    schemes = ("https://", "http://") if values["DEBUG"] else "https://"
    for setting in declaration.settings:
        if setting.name.endswith("_BASE_URL") and not values[setting.name].startswith(schemes):
            env.refuse(setting.name, "is not an https address", "Leave it out: the provider's own is the default.")
    for setting in declaration.settings:
        if setting.required and not values[setting.name] and not values.get(setting.instead):
            env.refuse(
                f"{setting.name} or {setting.instead}" if setting.instead else setting.name,
                "is not set",
                f"Write the value from the provider's console, or leave {name} out.",
            )
    for setting in declaration.settings:
        value = values[setting.name]
        if setting.name.endswith("_RECEIPT_SECRET") and value and not re.fullmatch(r"[0-9A-Za-z_-]{16,128}", value):
            env.refuse(
                setting.name,
                "cannot be part of an address or can be guessed",
                "Write 32 random letters and digits, or nothing.",
            )
    if declaration.check:
        declaration.check({setting.name: values[setting.name] for setting in declaration.settings})
