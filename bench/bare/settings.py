"""Latchkey's settings, with other addresses and a template without a context of ours."""

from __future__ import annotations

from pathlib import Path

from bench.latchkey import *  # noqa: F403

ROOT_URLCONF = "bench.bare.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
