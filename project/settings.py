"""Every knob of Latchkey: an environment variable, read once, checked at start. `.env.example` explains each."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import stat
import sys
import zlib
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.http.request import validate_host
from django.utils.translation import gettext_lazy as _
from dotenv import load_dotenv
from huey import Huey
from phonenumbers import SUPPORTED_REGIONS
from redis import ConnectionPool

from project import env
from project.broker import graceful, serializer
from project.run import valkey

BASE_DIR = Path(__file__).resolve().parent.parent

# A real environment wins over the file. ENV_FILE= (empty) reads none, as the tests do.
if env_file := os.environ.get("ENV_FILE", str(BASE_DIR / ".env")):
    load_dotenv(env_file)

DEBUG = env.flag("DEBUG")
VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).resolve()
HOST = env.text("HOST", "127.0.0.1")
if DEBUG and not env.is_loopback(HOST):
    env.refuse(
        "DEBUG",
        f"is on while HOST is {HOST!r}: its dev phone shows every code to whoever asks",
        "Write HOST=127.0.0.1, or DEBUG=0 and the settings that a site in the world needs.",
    )
PORT = env.number("PORT", 8000, least=1, most=65535)


def _close_folder(folder: Path) -> None:
    """Make a folder if there is none, and close it to other users of the machine: keys and numbers are kept there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    # Not one that is everybody's by intention, as /tmp is.
    if found.st_uid == os.geteuid() and found.st_mode & 0o007 and not found.st_mode & stat.S_ISVTX:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~0o007)


_close_folder(VAR_DIR)

# What stands where a key belongs in somebody's example.
SAMPLES = re.compile(r"insecure|(?:change|replace).?(?:me|this)|secret.?key|example|placeholder|your.?(?:own|key)")


def _checked_key(name: str, key: str) -> str:
    """Return a key that nobody finds by trying; refuse one that is short, plain, or out of an example."""
    if len(key) < 32 or len(set(key)) < 10:
        env.refuse(name, "is too short or too plain", "Write 50 random characters.")
    # A short text that is repeated: it becomes much smaller, random letters do not.
    if SAMPLES.search(key.lower()) or len(zlib.compress(key.encode())) < 32:
        env.refuse(name, "is a sample, not a secret", "Write 50 random characters.")
    return key


def _secret_key() -> str:
    """Return SECRET_KEY, or under DEBUG one that is made once and kept in VAR_DIR."""
    if key := env.text("SECRET_KEY"):
        return _checked_key("SECRET_KEY", key)
    if not DEBUG:
        env.refuse("SECRET_KEY", "is not set", "Write 50 random characters; DEBUG=1 makes a key of its own.")
    path = VAR_DIR / "secret_key"
    # Written whole beside it and linked: of two first starts at once, one key wins and both read it.
    fresh = VAR_DIR / f"secret_key.{os.getpid()}"
    try:
        return path.read_text()
    except FileNotFoundError:
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_text()


SECRET_KEY = _secret_key()
SECRET_KEY_FALLBACKS = [_checked_key("SECRET_KEY_FALLBACKS", _key) for _key in env.words("SECRET_KEY_FALLBACKS")]


def _public_origin() -> str:
    """Return the address visitors see, as a browser writes it in `Origin`."""
    origin = env.text("PUBLIC_ORIGIN").rstrip("/").lower()
    if not origin:
        if not DEBUG:
            env.refuse(
                "PUBLIC_ORIGIN", "is not set", "Write what visitors see: PUBLIC_ORIGIN=https://login.example.org."
            )
        return f"http://127.0.0.1:{PORT}"
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
    # What a browser writes: no path, no name and password, a port that is a number. [::1] has lost its brackets.
    if parts.scheme not in {"http", "https"} or origin.replace("[", "").replace("]", "") != plain or "*" in origin:
        env.refuse(
            "PUBLIC_ORIGIN", f"is {origin!r}", "Write scheme and host only: PUBLIC_ORIGIN=https://login.example.org."
        )
    return origin


PUBLIC_ORIGIN = _public_origin()
PUBLIC_HOST = urlsplit(PUBLIC_ORIGIN).hostname or ""
SECURE = PUBLIC_ORIGIN.startswith("https://")
# Read whatever PUBLIC_ORIGIN is, so that a wrong value is found before it is needed.
INSECURE_HTTP = env.flag("INSECURE_HTTP")
if not SECURE and not DEBUG and not env.is_loopback(PUBLIC_HOST):
    if not INSECURE_HTTP:
        env.refuse(
            "PUBLIC_ORIGIN",
            f"is {PUBLIC_ORIGIN!r}: whoever is on the way can read passwords and codes",
            "Write https://..., or INSECURE_HTTP=1 in a network that you trust.",
        )
    env.warn(f"INSECURE_HTTP=1: passwords, codes and sessions of {PUBLIC_ORIGIN} can be read on their way.")
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


def _allowed_hosts() -> list[str]:
    """Return the names that are answered: those that visitors use, the public one always among them."""
    public = f"[{PUBLIC_HOST}]" if ":" in PUBLIC_HOST else PUBLIC_HOST
    names = [name.lower() for name in env.words("ALLOWED_HOSTS")] or [public]
    if "*" in names:
        env.refuse("ALLOWED_HOSTS", "holds '*'", "Write the host names that visitors use, with commas.")
    for name in names:
        if not re.fullmatch(r"\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", name):
            plain = env.ascii_host(name)
            write = "Write host names without scheme, port and path, such as ALLOWED_HOSTS=login.example.org"
            env.refuse("ALLOWED_HOSTS", f"holds {name!r}", f"{write}{f', or {plain} for this one' if plain else ''}.")
    if not validate_host(public, [*names, *LOOPBACK]):
        names.insert(0, public)
    # This machine's own names as well: that is how it is asked whether it is healthy.
    return [*names, *LOOPBACK]


ALLOWED_HOSTS = _allowed_hosts()
# A page of these may open the socket whatever name it is asked for; a page of another name only that name's own.
SOCKET_ORIGINS = [PUBLIC_ORIGIN]
# Open sockets: of one session, one address and one server process. No zero that would mean "none" or "all".
SOCKETS_PER_SESSION = env.number("SOCKETS_PER_SESSION", 20, least=1)
SOCKETS_PER_ADDRESS = env.number("SOCKETS_PER_ADDRESS", 60, least=1)
SOCKETS = env.number("SOCKETS", 10_000, least=1)
ONE_CORE = env.flag("ONE_CORE")
CSRF_TRUSTED_ORIGINS = [PUBLIC_ORIGIN]

# How many proxies of ours stand in front. Each appends one address to X-Forwarded-For; only those are believed.
TRUSTED_PROXIES = env.number("TRUSTED_PROXIES", 0, most=10)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = SECURE
# To the address that we know, not to the one that the request names.
SECURE_SSL_HOST = urlsplit(PUBLIC_ORIGIN).netloc if SECURE else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 365 * 86400 if SECURE else 0
# Off: they speak for names that may not be ours, and browsers remember them for a year.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("HSTS_SUBDOMAINS")
SECURE_HSTS_PRELOAD = env.flag("HSTS_PRELOAD")
if SECURE_HSTS_PRELOAD and not SECURE_HSTS_INCLUDE_SUBDOMAINS:
    env.refuse(
        "HSTS_PRELOAD",
        "is on without HSTS_SUBDOMAINS, which browsers' lists ask for",
        "Write HSTS_SUBDOMAINS=1 as well, or HSTS_PRELOAD=0.",
    )
# Both bind every other site of the domain, so the operator decides and `check --deploy` does not warn.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# --- The parts ---

# Without REDIS_URL, a Valkey of our own under VAR_DIR. Its address is only read here; who serves starts it.
EMBEDDED_VALKEY = not env.text("REDIS_URL")
REDIS_URL = valkey.url(VAR_DIR) if EMBEDDED_VALKEY else env.text("REDIS_URL")
QUEUE_POOL = None
# Refused behind the `try`: the error in it may hold the password, and would be shown as the cause.
with suppress(ValueError):
    # The queue's. The worker's blocking read takes one second, so this time-out must be longer.
    QUEUE_POOL = ConnectionPool.from_url(
        REDIS_URL, socket_timeout=5, socket_connect_timeout=1, max_connections=200, retry=None
    )
if QUEUE_POOL is None:
    env.refuse("REDIS_URL", "is not an address of Redis", "Write REDIS_URL=redis://:password@host:6379/0.")

# Quoted: a folder's name may hold what means something in a URL, such as # and ?.
DATABASE_URL = env.text("DATABASE_URL", f"sqlite:///{quote(str(VAR_DIR / 'latchkey.sqlite3'))}")
DATABASES: dict[str, dict[str, Any]] = {}
DATABASE_SILENCE = 0
with suppress(ValueError, KeyError):
    DATABASES["default"] = {**dj_database_url.parse(DATABASE_URL, conn_max_age=600, conn_health_checks=True)}
if "default" not in DATABASES:
    env.refuse("DATABASE_URL", "cannot be read", "Write DATABASE_URL=postgres://user:password@host:5432/name.")
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    # WAL: readers never wait for the writer. FULL: an accepted request survives a power cut.
    # Carrying the log over into the file takes a tenth of a second, and SQLite has whoever commits do it: the sweeper
    # does it first. Who commits only does when there is none, after 64 MB.
    # IMMEDIATE: a writer waits for its turn at the start; an upgrade in mid-transaction would fail at once.
    DATABASES["default"]["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=16000",
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
    }
else:
    _said = parse_qs(urlsplit(DATABASE_URL).query, keep_blank_values=True)
    if "currentSchema" in _said:
        # Java's word. dj-database-url makes `options` of it, or `options` replace it.
        env.refuse("DATABASE_URL", "holds currentSchema=", "Write options=-c%20search_path%3Dname in its place.")
    _own = _said.get("options", ["-c statement_timeout=5000"])[-1]
    # What the operator's own word does not say. The server ends a statement after five seconds; a server that is gone
    # without a word is noticed by what it does not acknowledge (the time-out of what was sent, in ms) or by keepalives.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 2,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 5000,
        **DATABASES["default"].get("OPTIONS", {}),
        "options": _own if "statement_timeout" in _own or not _own else f"-c statement_timeout=5000 {_own}",
    }
    if not _own:
        # PgBouncer refuses this start-up parameter: `options=` leaves it out.
        del DATABASES["default"]["OPTIONS"]["options"]
    # Seconds that an answer is waited for, longer than the server's own limit; not where that is the operator's.
    DATABASE_SILENCE = 0 if "statement_timeout" in _said.get("options", [""])[-1] else 6
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            # A visitor waits for these. No repeats: see project/redis.py.
            "SOCKET_CONNECT_TIMEOUT": 0.5,
            "SOCKET_TIMEOUT": 1,
            "CONNECTION_POOL_KWARGS": {"max_connections": 200, "retry": None},
        },
    }
}

# The pub/sub layer: the core layer drops messages when full and, with redis-py 8, each socket after five idle seconds.
LAYER_PREFIX = "latchkey"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 2}], "prefix": LAYER_PREFIX},
    }
}

# Empty: the queue is in Redis. amqp://...: it is in RabbitMQ, and everything else of Huey's stays in Redis.
BROKER_URL = env.text("BROKER_URL")


def _huey() -> Huey:
    """Return the queue. An instance and not a dict: with a dict, `immediate` follows DEBUG: nothing is asynchronous."""
    name = env.text("QUEUE_NAME", "latchkey")
    options: dict[str, Any] = {
        "immediate": False,
        "results": False,
        # Pickle as it is would let whoever can write to the queue run code in the worker.
        "serializer": serializer.Signed(secret=SECRET_KEY, salt="latchkey.queue"),
        "connection_pool": QUEUE_POOL,
    }
    if not BROKER_URL:
        return graceful.Graceful(name, **options)
    # Imported here: who has no RabbitMQ does not wait for its client at each start.
    from project.broker import rabbit_huey, rabbitmq

    address = rabbitmq.Address.parse(BROKER_URL)
    if address is None:
        env.refuse(
            "BROKER_URL",
            "is not an address of RabbitMQ",
            "Write BROKER_URL=amqp://user:password@host:5672/vhost with special characters as %2F, or leave it out: "
            "the queue is in Redis then.",
        )
    return rabbit_huey.RabbitHuey(name, address=address, **options)


HUEY = _huey()

# --- SMS ---

GATEWAYS = {
    "phone": "tasks.gateways.phone.Phone",
    "yuntongxun": "tasks.gateways.yuntongxun.Yuntongxun",
    "aliyun": "tasks.gateways.aliyun.Aliyun",
    "tencent": "tasks.gateways.tencent.Tencent",
    "twilio": "tasks.gateways.twilio.Twilio",
    "apprise": "tasks.gateways.apprise.Anything",
}
SMS_GATEWAYS = env.words("SMS_GATEWAYS", "phone")
for _name in SMS_GATEWAYS:
    if _name not in GATEWAYS:
        env.refuse("SMS_GATEWAYS", f"names {_name!r}, which is not known", f"Write one of: {', '.join(GATEWAYS)}.")
if "phone" in SMS_GATEWAYS and not DEBUG:
    env.refuse(
        "SMS_GATEWAYS",
        "is 'phone', which shows every code to everybody",
        "Write a real gateway, or DEBUG=1 to try it out.",
    )

DEV_PHONE = "phone" in SMS_GATEWAYS


def _routes() -> dict[str, list[str]]:
    """Return the chains of gateways by region, as SMS_ROUTES=HK:twilio,CN:yuntongxun+aliyun says."""
    routes = {}
    for route in env.words("SMS_ROUTES"):
        region, _colon, names = route.partition(":")
        routes[region.upper()] = chain = [name for name in names.split("+") if name]
        if not chain or not set(chain) <= set(SMS_GATEWAYS):
            env.refuse("SMS_ROUTES", f"holds {route!r}", "Write REGION:gateway+gateway, each also in SMS_GATEWAYS.")
    return routes


SMS_ROUTES = _routes()

# <GATEWAY>_RECEIPT_SECRET is part of the address that a provider reports to, /receipts/<gateway>/<secret>/.
YUNTONGXUN_ACCOUNT_SID = env.text("YUNTONGXUN_ACCOUNT_SID")
YUNTONGXUN_AUTH_TOKEN = env.text("YUNTONGXUN_AUTH_TOKEN")
YUNTONGXUN_APP_ID = env.text("YUNTONGXUN_APP_ID")
YUNTONGXUN_TEMPLATE_ID = env.text("YUNTONGXUN_TEMPLATE_ID", "1")
YUNTONGXUN_BASE_URL = env.text("YUNTONGXUN_BASE_URL", "https://app.cloopen.com:8883")
YUNTONGXUN_RECEIPT_SECRET = env.text("YUNTONGXUN_RECEIPT_SECRET")

ALIYUN_ACCESS_KEY_ID = env.text("ALIYUN_ACCESS_KEY_ID")
ALIYUN_ACCESS_KEY_SECRET = env.text("ALIYUN_ACCESS_KEY_SECRET")
ALIYUN_SIGN_NAME = env.text("ALIYUN_SIGN_NAME")
ALIYUN_TEMPLATE_CODE = env.text("ALIYUN_TEMPLATE_CODE")
ALIYUN_BASE_URL = env.text("ALIYUN_BASE_URL", "https://dysmsapi.aliyuncs.com")
ALIYUN_RECEIPT_SECRET = env.text("ALIYUN_RECEIPT_SECRET")

TENCENT_SECRET_ID = env.text("TENCENT_SECRET_ID")
TENCENT_SECRET_KEY = env.text("TENCENT_SECRET_KEY")
TENCENT_SDK_APP_ID = env.text("TENCENT_SDK_APP_ID")
TENCENT_SIGN_NAME = env.text("TENCENT_SIGN_NAME")
TENCENT_TEMPLATE_ID = env.text("TENCENT_TEMPLATE_ID")
TENCENT_REGION = env.text("TENCENT_REGION", "ap-guangzhou")
TENCENT_BASE_URL = env.text("TENCENT_BASE_URL", "https://sms.tencentcloudapi.com")
TENCENT_RECEIPT_SECRET = env.text("TENCENT_RECEIPT_SECRET")

TWILIO_ACCOUNT_SID = env.text("TWILIO_ACCOUNT_SID")
TWILIO_AUTH_TOKEN = env.text("TWILIO_AUTH_TOKEN")
TWILIO_FROM = env.text("TWILIO_FROM")
TWILIO_MESSAGING_SERVICE_SID = env.text("TWILIO_MESSAGING_SERVICE_SID")
TWILIO_BASE_URL = env.text("TWILIO_BASE_URL", "https://api.twilio.com")
TWILIO_RECEIPT_SECRET = env.text("TWILIO_RECEIPT_SECRET")

# A service as Apprise writes it, with {to} or {digits} where the number goes: +8613800138000 or 8613800138000.
APPRISE_URL = env.text("APPRISE_URL")

# What a gateway cannot do without. Of two words with a bar between them, one is enough.
_NEEDS = {
    "phone": [],
    "yuntongxun": ["YUNTONGXUN_ACCOUNT_SID", "YUNTONGXUN_AUTH_TOKEN", "YUNTONGXUN_APP_ID"],
    "aliyun": ["ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_SIGN_NAME", "ALIYUN_TEMPLATE_CODE"],
    # Abroad it needs no sign name.
    "tencent": ["TENCENT_SECRET_ID", "TENCENT_SECRET_KEY", "TENCENT_SDK_APP_ID", "TENCENT_TEMPLATE_ID"],
    "twilio": ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM|TWILIO_MESSAGING_SERVICE_SID"],
    "apprise": ["APPRISE_URL"],
}
for _name in SMS_GATEWAYS:
    _base, _secret = f"{_name.upper()}_BASE_URL", f"{_name.upper()}_RECEIPT_SECRET"
    if not globals().get(_base, "https://").startswith("https://" if not DEBUG else ("https://", "http://")):
        env.refuse(_base, "is not an https address", "Leave it out: the provider's own is the default.")
    for _need in _NEEDS[_name]:
        if not any(env.text(_one) for _one in _need.split("|")):
            env.refuse(
                _need.replace("|", " or "),
                "is not set",
                f"Write the value from the provider's console, or leave {_name} out.",
            )
    if env.text(_secret) and not re.fullmatch(r"[0-9A-Za-z_-]{16,128}", env.text(_secret)):
        env.refuse(
            _secret, "cannot be part of an address or can be guessed", "Write 32 random letters and digits, or nothing."
        )
if "apprise" in SMS_GATEWAYS:
    if importlib.util.find_spec("apprise") is None:
        env.refuse("SMS_GATEWAYS", "names 'apprise', which is not installed", "Install it: pip install apprise.")
    if "{to}" not in APPRISE_URL and "{digits}" not in APPRISE_URL:
        env.refuse("APPRISE_URL", "has no place for the number", "Write {to} or {digits} where the number goes.")

SMS_REGIONS = [region.upper() for region in env.words("SMS_REGIONS", "CN")]
for _name in SMS_REGIONS:
    if _name not in SUPPORTED_REGIONS:
        env.refuse(
            "SMS_REGIONS", f"holds {_name!r}", "Write two-letter regions with commas, such as SMS_REGIONS=CN,HK,GB."
        )
# Seconds between two codes for a number.
SMS_COOLDOWN = env.number("SMS_COOLDOWN", 60, most=3600)
# Seconds a code lives. NIST SP 800-63B-4, 3.1.3.2: at most ten minutes.
SMS_CODE_TTL = env.number("SMS_CODE_TTL", 300, least=5, most=600)
# Guesses at one code.
SMS_MAX_TRIES = env.number("SMS_MAX_TRIES", 5, least=1, most=10)
# Wrong passwords in a row for one account, and wrong guesses of any kind from one address, before there is a pause.
PASSWORD_TRIES = env.number("PASSWORD_TRIES", 10, least=3)
GUESSES_PER_IP = env.number("GUESSES_PER_IP", 100, least=10)
# Carriers' own caps for a number are 5 an hour and 10 a day: ours are not laxer.
SMS_PER_HOUR = env.number("SMS_PER_HOUR", 5)
SMS_PER_DAY = env.number("SMS_PER_DAY", 10)
SMS_PER_IP_HOUR = env.number("SMS_PER_IP_HOUR", 10)
SMS_BUDGET_HOUR = env.number("SMS_BUDGET_HOUR", 200)
# The part of it that only browsers get which have signed in with the number before: no stranger can use it up.
SMS_BUDGET_RESERVE = env.number("SMS_BUDGET_RESERVE", SMS_BUDGET_HOUR // 10)
if SMS_BUDGET_RESERVE > SMS_BUDGET_HOUR:
    env.refuse("SMS_BUDGET_RESERVE", "is more than SMS_BUDGET_HOUR", "Write a part of it, such as a tenth.")
# A browser that changes its address, and a range of numbers that is rented by the thousand.
SMS_PER_SESSION_HOUR = env.number("SMS_PER_SESSION_HOUR", SMS_PER_IP_HOUR)
SMS_PER_PREFIX_HOUR = env.number("SMS_PER_PREFIX_HOUR", max(50, SMS_BUDGET_HOUR // 4))
# The limits above are only written into the log. The cooldown holds.
SMS_LIMITS_RECORD_ONLY = env.flag("SMS_LIMITS_RECORD_ONLY")
# When nobody knows whether an SMS left: ask the visitor, or send the same code again and flag it.
SMS_AMBIGUOUS = env.choice("SMS_AMBIGUOUS", "ask", ["ask", "resend"])
# Whether a visitor's browser has a small sum to work out before a code is sent or a password looked at: never, when a
# limit is near, or always.
ALTCHA = env.choice("ALTCHA", "off" if DEBUG else "adaptive", ["off", "adaptive", "always"])
# Tries that it takes at most; half of them on average.
ALTCHA_COST = env.number("ALTCHA_COST", 3000, least=1, most=1_000_000)
# Days that a delivery's row is kept, and the number in it; 0 for ever. The limits of a day are counted from the rows.
SMS_KEEP_DAYS = env.number("SMS_KEEP_DAYS", 90, most=36500)
if SMS_KEEP_DAYS == 1:
    env.refuse("SMS_KEEP_DAYS", "is 1, which forgets what limits count", "Write 2 or more days, or 0 for ever.")
# Django's admin, with our own login in front of it.
ADMIN = env.flag("ADMIN", default=DEBUG)
# False: a number without an account gets no SMS, and nobody can see that.
SIGN_UP = env.flag("SIGN_UP", default=True)
# Of a new password. NIST SP 800-63B-4, 3.1.1.2: 15 where it is the only factor, which it is here.
PASSWORD_MIN_LENGTH = env.number("PASSWORD_MIN_LENGTH", 15, least=8, most=64)

# --- Django ---

INSTALLED_APPS = [
    # Its `runserver` serves sockets as well. Everything else starts in half the time without Twisted.
    *(["daphne"] if "runserver" in sys.argv else []),
    "project.admin.AdminConfig",
    # Before Django's own, whose createsuperuser it makes stricter.
    "accounts",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "template_partials",
    "huey.contrib.djhuey",
    "home",
    "tasks",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "project.web.static.serve",
    "project.web.compression.Pages",
    "project.web.csp.Policy",
    "accounts.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "accounts.middleware.refuse_long_bodies",
    "django.middleware.common.CommonMiddleware",
    "project.web.error_pages.explain",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = None
ASGI_APPLICATION = "asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context_processors.page",
            ],
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.PasswordBackend", "accounts.backends.CodeBackend"]
PASSWORD_HASHERS = ["accounts.passwords.hashers.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "mobile", "first_name", "last_name", "email")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_MIN_LENGTH},
    },
    {"NAME": "accounts.passwords.validators.Longest"},
    {"NAME": "accounts.passwords.validators.Common"},
    {"NAME": "accounts.passwords.validators.SiteWords"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"

# In the database: a cached session can come back from the dead after a logout. With only a hash of each key there.
SESSION_ENGINE = "accounts.sessions"
SESSION_SAVE_EVERY_REQUEST = False
# Seconds a remembered login lives; the others end with the browser.
REMEMBERED_AGE = 2 * 86400
SESSION_COOKIE_AGE = REMEMBERED_AGE
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
# Over TLS the browser itself refuses these names from a sibling host; plain http cannot have them.
SESSION_COOKIE_NAME = "__Host-sessionid" if SECURE else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if SECURE else "csrftoken"
CSRF_FAILURE_VIEW = "accounts.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# The admin's messages name accounts: they stay in the session, and no cookie carries them.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# Our largest form is a few hundred bytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
# A batch of delivery reports has hundreds, each of a few hundred bytes.
RECEIPTS_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 50

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        # Safari took a while to see that 'self' is meant for sockets as well.
        "connect-src": [SELF, PUBLIC_ORIGIN.replace("http", "ws", 1)],
        "form-action": [SELF],
        "manifest-src": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = SECURE
LANGUAGE_COOKIE_AGE = 365 * 86400
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
# ALTCHA's widget, from the package that its makers keep for Django. Its file is served; none of its code runs here.
_WIDGET = distribution("altcha-django").locate_file("altcha_django/static/altcha_django")
STATICFILES_DIRS = [BASE_DIR / "static", ("altcha", Path(str(_WIDGET)))]
# Found where they are installed, so that a server starts without a step before it.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "project.web.static.Storage"},
}

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ["DEBUG", "INFO", "WARNING", "ERROR"])
# Libraries are heard from WARNING on at every level: at DEBUG some write keys, numbers and codes (urllib3 writes whole
# URLs). On this list is what is ours, or was read line by line, so that DEBUG may show it.
_OTHERS = "ERROR" if LOG_LEVEL == "ERROR" else "WARNING"
_READ = LOG_LEVEL if LOG_LEVEL in {"DEBUG", "ERROR"} else "WARNING"
# What nobody may read in a log, should a library ever write it there.
LOG_SECRETS = [
    SECRET_KEY,
    *SECRET_KEY_FALLBACKS,
    *(urlsplit(_url).password or "" for _url in (REDIS_URL, DATABASE_URL, BROKER_URL)),
    *(
        env.text(f"{_gateway.upper()}_{_kind}")
        for _gateway in GATEWAYS
        for _kind in ("RECEIPT_SECRET", "AUTH_TOKEN", "ACCESS_KEY_SECRET", "SECRET_KEY")
    ),
    APPRISE_URL,
]
# Sets LOGGING, and how a line is written.
LOGGING_CONFIG = "project.log.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # A 503 says which part is away; the part's own logger has said so.
    "filters": {
        # Redis away: eight workers would each write fifty lines, again and again.
        "one_line": {"()": "project.log.OneLine"},
        "no_blame": {"()": "project.log.NoBlame"},
        "no_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        },
    },
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["no_blame"]}},
    "root": {"handlers": ["console"], "level": _OTHERS},
    "loggers": {
        "accounts": {"level": LOG_LEVEL},
        "tasks": {"level": LOG_LEVEL},
        # Django's own handlers would write each line a second time.
        "django": {"handlers": [], "level": _READ, "propagate": True},
        **{_name: {"level": _READ} for _name in ("home", "project", "daphne")},
        # A refused form is no news; what was refused and why stands in our own loggers.
        "django.request": {"level": "DEBUG" if LOG_LEVEL == "DEBUG" else "ERROR", "filters": ["no_503"]},
        # At DEBUG they write what must never be in a log: every value of every query, of every template, of a message.
        **{_name: {"level": "WARNING"} for _name in ("django.db.backends", "django.template", "apprise")},
        # The worker gives this one a handler of its own.
        "huey": {"propagate": False, "level": _READ},
        "huey.consumer.Worker": {"filters": ["one_line"]},
        "channels_redis.pubsub": {"filters": ["one_line"]},
        "huey.consumer.Scheduler": {"filters": ["one_line"]},
        # The client's many words about one lost connection; ours are one line.
        "pika": {"level": "CRITICAL"},
    },
}

# Last: whatever stops the start is said first, and alone.
if env_file:
    env.warn_of_readers(env_file)
