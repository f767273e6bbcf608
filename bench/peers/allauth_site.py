"""The settings of django-allauth's site: a login code by SMS, its rate limits off."""

from __future__ import annotations

from bench.peers.settings import *  # noqa: F403
from bench.peers.settings import INSTALLED_APPS, MIDDLEWARE

ROOT_URLCONF = "bench.peers.allauth_urls"
INSTALLED_APPS = [*INSTALLED_APPS, "allauth", "allauth.account"]
MIDDLEWARE = [*MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_ADAPTER = "bench.peers.allauth_adapter.Adapter"
ACCOUNT_LOGIN_METHODS = {"phone"}
ACCOUNT_SIGNUP_FIELDS = ["phone*"]
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_RATE_LIMITS = False
