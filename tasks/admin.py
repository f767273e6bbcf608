"""Deliveries and their attempts in the admin, to read: what happened is not edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import admin
from django.db.models import Q

from tasks import gateways
from tasks.models import Attempt, Delivery, Report

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

    Tries = admin.TabularInline[Attempt, Delivery]
    Deliveries = admin.ModelAdmin[Delivery]
else:
    Tries = admin.TabularInline
    Deliveries = admin.ModelAdmin


class AttemptInline(Tries):
    """Every try, with the provider's own words."""

    model = Attempt
    fields = readonly_fields = (
        "n",
        "gateway",
        "outcome",
        "provider_code",
        "provider_id",
        "detail",
        "started_at",
        "ended_at",
        "reports",
    )
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """Nobody adds one by hand."""
        return False

    @admin.display(description="reports")
    def reports(self, attempt: Attempt) -> str:
        """Return what the provider reported later, in order, each report with its code and what it means."""
        return "; ".join(_told(report) for report in _reports(attempt)) or "-"


def _reports(attempt: Attempt) -> QuerySet[Report]:
    """Return an attempt's reports: by the provider's id, or by our reference if the send's answer was lost."""
    named = Q(provider_id=attempt.provider_id) if attempt.provider_id else Q(reference=attempt.delivery_id)
    return Report.objects.filter(named, gateway=attempt.gateway).order_by("received_at")


def _told(report: Report) -> str:
    if report.delivered:
        return f"delivered ({report.provider_code or 'no code'})"
    # A gateway that the site had once has no table any more.
    known = report.gateway in settings.GATEWAYS
    reason = gateways.report_reason(report.gateway, report.provider_code) if known else ""
    return f"failed ({', '.join(filter(None, (report.provider_code or 'no code', reason)))})"


@admin.register(Delivery)
class DeliveryAdmin(Deliveries):
    """One row a request."""

    list_display = ("short_id", "mobile", "state", "attempts", "reason", "possibly_duplicated", "decoy", "created_at")
    list_filter = ("state", "reason", "possibly_duplicated", "decoy")
    search_fields = ("=mobile", "=id")
    date_hierarchy = "created_at"
    inlines = (AttemptInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only a visitor asks for a code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """It is a record."""
        return False

    @admin.display(description="id")
    def short_id(self, delivery: Delivery) -> str:
        """Return what the logs call it."""
        return delivery.pk[:8]
