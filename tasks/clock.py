"""Moments by the database's clock, because the clocks of web servers and workers may differ."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.expressions import Combinable
from django.db.models.functions import Now


def ago(age: timedelta) -> Combinable:
    """Return the database's time that long ago."""
    return ExpressionWrapper(Now() - age, output_field=DateTimeField())


def ahead(wait: timedelta) -> Combinable:
    """Return the database's time that far ahead."""
    return ExpressionWrapper(Now() + wait, output_field=DateTimeField())
