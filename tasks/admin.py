"""Deliveries and their attempts in the admin, to read: what happened is not edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from tasks.models import Attempt, Delivery

if TYPE_CHECKING:
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
    )
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """Nobody adds one by hand."""
        return False


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
