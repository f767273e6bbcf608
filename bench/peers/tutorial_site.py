"""The settings of the tutorial's site."""

from __future__ import annotations

from bench.peers.settings import *  # noqa: F403

ROOT_URLCONF = "bench.peers.tutorial_urls"
