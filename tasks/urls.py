"""The addresses for operators and developers."""

from __future__ import annotations

from django.urls import path

from tasks import health, receipts
from tasks.dev import views

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("receipts/<slug:gateway>/<str:secret>/", receipts.receive, name="receipts"),
    # Consoles are filled in by hand, and a provider does not follow a redirect with its report.
    path("receipts/<slug:gateway>/<str:secret>", receipts.receive),
    path("dev/phone/", views.dev_phone, name="dev_phone"),
    path("dev/phone/messages.json", views.dev_phone_messages, name="dev_phone_messages"),
    path("dev/queue/", views.dev_queue, name="dev_queue"),
]
