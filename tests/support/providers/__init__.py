"""Providers that we run ourselves, one a dialect."""

from __future__ import annotations
