"""The addresses for operators and developers."""

from __future__ import annotations

from django.urls import path

from tasks import receipts, views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("receipts/<slug:gateway>/<str:secret>/", receipts.receive, name="receipts"),
    path("dev/phone/", views.dev_phone, name="dev_phone"),
    path("dev/phone/messages.json", views.dev_phone_messages, name="dev_phone_messages"),
    path("dev/queue/", views.dev_queue, name="dev_queue"),
]
