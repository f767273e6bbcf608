"""Every setting of Latchkey, then Django's own. Most are environment variables, which .env.example explains.

Importing this file writes nothing, and a wrong value stops it with one line: see project/checks.py.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import quote, urlsplit

from csp.constants import NONCE, NONE, SELF
from django.utils.translation import gettext_lazy as _

from project import branding, checks, database_url, env, gateway_settings, redis_connections, sms_text, var_dir
from project.broker import instance
from project.run import valkey

BASE_DIR = Path(__file__).resolve().parent.parent

# --- The site ---

_env_file = env.read_file()
DEBUG = env.flag("DEBUG")
HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000, least=1, most=65535)
# Made by var_dir.prepare(), which every program of the site calls first.
VAR_DIR = var_dir.path()
SECRET_KEY = checks.secret_key("SECRET_KEY", env.text("SECRET_KEY") or (var_dir.secret_key() if DEBUG else ""))
SECRET_KEY_FALLBACKS = [checks.secret_key("SECRET_KEY_FALLBACKS", _key) for _key in env.words("SECRET_KEY_FALLBACKS")]

PUBLIC_ORIGIN = checks.public_origin(env.text("PUBLIC_ORIGIN", f"http://127.0.0.1:{PORT}" if DEBUG else ""))
PUBLIC_HOST = urlsplit(PUBLIC_ORIGIN).hostname or ""
SECURE = PUBLIC_ORIGIN.startswith("https://")
INSECURE_HTTP = env.flag("INSECURE_HTTP")
ALLOWED_HOSTS = checks.allowed_hosts(env.words("ALLOWED_HOSTS"), PUBLIC_HOST)
CSRF_TRUSTED_ORIGINS = [PUBLIC_ORIGIN]
# A page of these may open the socket whatever name it is asked for; a page of another name only that name's own.
SOCKET_ORIGINS = [PUBLIC_ORIGIN]
# Open sockets of one session, one address and one server process. There is no number for "no limit".
SOCKETS_PER_SESSION = env.number("SOCKETS_PER_SESSION", 20, least=1)
SOCKETS_PER_ADDRESS = env.number("SOCKETS_PER_ADDRESS", 60, least=1)
SOCKETS = env.number("SOCKETS", 10_000, least=1)
ONE_CORE = env.flag("ONE_CORE")
# Seconds that an idle connection is kept: longer than balancers keep theirs, so that it is they who close it.
KEEP_ALIVE = env.number("KEEP_ALIVE", 75, least=1, most=3600)

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
# Both bind every other site of the domain, so the operator decides and `check --deploy` does not warn.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

# --- The site's own name ---

SITE_NAME = branding.name(env.text("SITE_NAME", branding.PRODUCT))
# The site's own templates and static files come before ours.
SITE_DIR = branding.folder(env.text("SITE_DIR"))
_SITE_FOLDERS = {_name: [SITE_DIR / _name] if SITE_DIR else [] for _name in ("templates", "static")}
SITE_MARK = branding.mark(env.text("SITE_MARK"))
# On light and on dark pages.
SITE_COLOUR = branding.colours(env.text("SITE_COLOUR"))
TERMS_URL = branding.link("TERMS_URL", env.text("TERMS_URL"))
PRIVACY_URL = branding.link("PRIVACY_URL", env.text("PRIVACY_URL"))
SUPPORT_URL = branding.link("SUPPORT_URL", env.text("SUPPORT_URL"), others=("mailto", "tel"))
ICP_NUMBER = branding.icp_number(env.text("ICP_NUMBER"))
HOME_PAGE = branding.home_page(env.text("HOME_PAGE", branding.home_setting()))

# --- Redis, the database, the queue ---

# What every name in Redis begins with: keys, channels and, unless it has a name of its own, the queue. Sites that are
# told apart by QUEUE_NAME alone are apart in everything.
KEY_PREFIX = checks.key_prefix(env.text("KEY_PREFIX"), queue_name=env.text("QUEUE_NAME"))
# Without REDIS_URL, a Valkey of our own under VAR_DIR. Its address is only read here; the serving programs start it.
EMBEDDED_VALKEY = not env.text("REDIS_URL")
REDIS_URL = checks.redis_url(env.text("REDIS_URL") or valkey.recorded_url(VAR_DIR))

# Quoted: a folder's name may hold what means something in a URL, such as # and ?.
DATABASE_URL = checks.database_url(env.text("DATABASE_URL", f"sqlite:///{quote(str(VAR_DIR / 'latchkey.sqlite3'))}"))
DATABASES = {"default": database_url.parse(DATABASE_URL)}
# Seconds, 0 for no limit: project/database.py.
DATABASE_SILENCE = database_url.answer_timeout(DATABASE_URL)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": KEY_PREFIX,
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            # A visitor waits for these. No repeats: see project/redis.py.
            "SOCKET_CONNECT_TIMEOUT": 0.5,
            "SOCKET_TIMEOUT": 1,
            "CONNECTION_POOL_CLASS": "project.redis_connections.Pool",
            "CONNECTION_POOL_KWARGS": {"max_connections": 200, "retry": None, **redis_connections.KEEPALIVE},
        },
    }
}

# The pub/sub layer: the core layer drops messages when full and, with redis-py 8, each socket after five idle seconds.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [redis_connections.for_pushes(REDIS_URL)], "prefix": KEY_PREFIX},
    }
}

# Empty: the queue is in Redis. amqp://...: it is in RabbitMQ, and everything else of Huey's stays in Redis.
BROKER_URL = checks.broker_url(env.text("BROKER_URL"))
HUEY = instance.queue(
    env.text("QUEUE_NAME", KEY_PREFIX),
    redis_url=REDIS_URL,
    broker_url=BROKER_URL,
    secrets=[SECRET_KEY, *SECRET_KEY_FALLBACKS],
)

# --- Text messages ---

# By dotted names: project/ stands below tasks/ and may not import it, and only the gateways that send are loaded.
GATEWAYS = {
    "phone": "tasks.gateways.phone.Phone",
    "yuntongxun": "tasks.gateways.yuntongxun.Yuntongxun",
    "aliyun": "tasks.gateways.aliyun.Aliyun",
    "tencent": "tasks.gateways.tencent.Tencent",
    "twilio": "tasks.gateways.twilio.Twilio",
    "apprise": "tasks.gateways.apprise.Apprise",
}
# Each gateway declares its settings, such as ALIYUN_SIGN_NAME, in tasks/gateways/<name>/settings.py.
GATEWAY_SETTINGS = gateway_settings.declared(GATEWAYS)
globals().update(gateway_settings.read(GATEWAY_SETTINGS))
SMS_GATEWAYS = checks.gateways(env.words("SMS_GATEWAYS", "phone"), GATEWAYS, debug=DEBUG)
SMS_ROUTES = checks.routes(env.words("SMS_ROUTES"), SMS_GATEWAYS)
DEV_PHONE = "phone" in SMS_GATEWAYS
# The dev phone sends delivery reports to this site, by an address that holds a secret, as a provider does.
PHONE_RECEIPT_SECRET = sha256(f"dev phone {SECRET_KEY}".encode()).hexdigest()[:32] if DEV_PHONE else ""

# Who text messages are from, and their wording by language; ours where it is empty.
SMS_SENDER = branding.sender(env.text("SMS_SENDER"))
SMS_TEXTS = {
    "en": sms_text.checked("SMS_TEXT_EN", env.text("SMS_TEXT_EN")),
    "zh-hans": sms_text.checked("SMS_TEXT_ZH", env.text("SMS_TEXT_ZH")),
}

SMS_REGIONS = checks.regions(env.words("SMS_REGIONS", "CN"))
# Seconds between two codes for a number.
SMS_COOLDOWN = env.number("SMS_COOLDOWN", 60, most=3600)
# Seconds a code lives. NIST SP 800-63B-4, 3.1.3.2: at most ten minutes.
SMS_CODE_TTL = env.number("SMS_CODE_TTL", 300, least=5, most=600)
# Guesses at one code.
SMS_MAX_TRIES = env.number("SMS_MAX_TRIES", 5, least=1, most=10)
# What a limit is under DEBUG. The dev phone's messages cost nothing, and ten codes are soon tried out.
_WIDE = 10_000
# Carriers' own caps for a number are 5 an hour and 10 a day: ours are not laxer.
SMS_PER_HOUR = env.number("SMS_PER_HOUR", 5, debug=_WIDE)
SMS_PER_DAY = env.number("SMS_PER_DAY", 10, debug=_WIDE)
SMS_PER_IP_HOUR = env.number("SMS_PER_IP_HOUR", 10, debug=_WIDE)
SMS_BUDGET_HOUR = env.number("SMS_BUDGET_HOUR", 200, debug=_WIDE)
# The part of it that only browsers get which have signed in with the number before: no stranger can use it up.
SMS_BUDGET_RESERVE = env.number("SMS_BUDGET_RESERVE", SMS_BUDGET_HOUR // 10)
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

# --- Accounts ---

# Wrong passwords in a row for one account, and wrong guesses of any kind from one address, before there is a pause.
PASSWORD_TRIES = env.number("PASSWORD_TRIES", 10, least=3, debug=_WIDE)
GUESSES_PER_IP = env.number("GUESSES_PER_IP", 100, least=10, debug=_WIDE)
# Django's admin, with our own login in front of it.
ADMIN = env.flag("ADMIN", default=DEBUG)
# False: a number without an account gets no SMS, and nobody can see that.
SIGN_UP = env.flag("SIGN_UP", default=True)
# Of a new password. NIST SP 800-63B-4, 3.1.1.2: 15 where it is the only factor, which it is here.
PASSWORD_MIN_LENGTH = env.number("PASSWORD_MIN_LENGTH", 15, least=8, most=64)

# --- Django ---

# Apps of a site's own, with their urls.py and routing.py if they have them: project/site_apps.py.
SITE_APPS = checks.site_apps(env.words("SITE_APPS"), own=("accounts", "home", "project", "tasks"))
INSTALLED_APPS = [
    # First, so that their templates and static files replace ours of the same name.
    *SITE_APPS,
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
    # Sees every answer, and knows those of a site's own views.
    "project.web.headers.complete",
    "django.middleware.security.SecurityMiddleware",
    "project.web.static.serve",
    "project.web.compression.Pages",
    "csp.middleware.CSPMiddleware",
    # Before what looks at the Host header, the session and the language.
    "tasks.health.answer_probes",
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
        "DIRS": [*_SITE_FOLDERS["templates"], BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context_processors.page",
            ],
            # For error pages as well, which Django renders without the context processors.
            "builtins": ["project.web.branding_tags"],
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
# How long a remembered login lives; the others end with the browser.
REMEMBERED_DAYS = env.number("REMEMBERED_DAYS", 2, least=1, most=365)
REMEMBERED_AGE = REMEMBERED_DAYS * 86400
# Seconds after which the server ends those others, and visitors' cookies.
SESSION_COOKIE_AGE = min(REMEMBERED_AGE, 2 * 86400)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
# Over TLS the browser itself refuses these names from a sibling host; plain http cannot have them.
SESSION_COOKIE_NAME = "__Host-sessionid" if SECURE else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if SECURE else "csrftoken"
CSRF_FAILURE_VIEW = "accounts.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# On the login's own pages only (project/headers.py): a site's pages may open windows that speak to them.
SECURE_CROSS_ORIGIN_OPENER_POLICY = None
# The admin's messages name accounts: they stay in the session, and no cookie carries them.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# Bytes. Our largest form is a few hundred.
FORM_MAX_SIZE = 64 * 1024
# By the beginning of a path: more for uploads to a site's own views.
BODY_LIMITS = checks.body_limits(env.words("BODY_LIMITS"))
# Django has one number for all paths. accounts.middleware.refuse_long_bodies has looked at the path before.
DATA_UPLOAD_MAX_MEMORY_SIZE = max([FORM_MAX_SIZE, *BODY_LIMITS.values()])
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

# For visitors whose browser asks for neither language.
LANGUAGE_CODE = checks.language(env.text("LANGUAGE_CODE", "en"))
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
STATICFILES_DIRS = [
    *(_folder for _folder in _SITE_FOLDERS["static"] if _folder.is_dir()),
    BASE_DIR / "static",
    ("altcha", Path(str(_WIDGET))),
]
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
    PHONE_RECEIPT_SECRET,
    *(urlsplit(_url).password or "" for _url in (REDIS_URL, DATABASE_URL, BROKER_URL)),
    *gateway_settings.secrets(GATEWAY_SETTINGS),
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
        "only_message": {"()": "project.log.OnlyMessage"},
        "no_blame": {"()": "project.log.NoBlame"},
        "no_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        },
    },
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "project.log.Counting", "formatter": "line", "filters": ["no_blame"]}},
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
        "huey": {"propagate": False, "level": _READ, "filters": ["only_message"]},
        "huey.consumer.Worker": {"filters": ["one_line"]},
        "channels_redis.pubsub": {"filters": ["one_line"]},
        "huey.consumer.Scheduler": {"filters": ["one_line"]},
        # The client's many words about one lost connection; ours are one line.
        "pika": {"level": "CRITICAL"},
    },
}

checks.refuse_wrong(globals())
checks.warn_of_risks(globals(), _env_file)
