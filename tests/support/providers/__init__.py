"""Providers that we run ourselves, one for each API."""

from __future__ import annotations
