"""Deliveries, their attempts, and the providers' reports. The row is the message; the queue only notifies a worker."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tasks import otp
from tasks.gateways import Outcome, Reason


def random_id() -> str:
    """Return 128 random bits in hex: more than a UUID's 122, and no longer than Yuntongxun's reqId may be."""
    return secrets.token_hex(16)


class State(models.TextChoices):
    """Where a delivery stands."""

    QUEUED = "queued", _("queued")
    SENDING = "sending", _("sending")
    RETRYING = "retrying", _("retrying")
    SENT = "sent", _("sent")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")
    UNKNOWN = "unknown", _("unknown")
    EXPIRED = "expired", _("expired")
    SUPERSEDED = "superseded", _("superseded")


# Not over, and not claimed by a worker.
WAITING = (State.QUEUED, State.RETRYING)


class Delivery(models.Model):
    """One accepted request for a code. Its id also names the challenge, the cooldown and the provider's reference."""

    id = models.CharField(primary_key=True, max_length=32, default=random_id, editable=False)
    mobile = models.CharField(_("mobile number"), max_length=16)
    purpose = models.CharField(max_length=16)
    # Hashes of the browser's id, which names the group that its pages listen to, and of the client IP.
    browser = models.CharField(max_length=32)
    address = models.CharField(max_length=32)
    language = models.CharField(max_length=8)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED, db_default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    reason = models.CharField(max_length=8, choices=[(r.value, r.value) for r in Reason], blank=True, default="")
    # The index in the chain of gateways that is tried next.
    route = models.PositiveSmallIntegerField(default=0, db_default=0)
    # The gateway of the last attempt, when it accepted it, and when it reported it delivered: see delivery_times.py.
    gateway = models.CharField(max_length=32, blank=True, default="", db_default="")
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    # True if the handset may get the same code twice, because the outcome of an attempt was unknown.
    possibly_duplicated = models.BooleanField(default=False, db_default=False)
    # All times are the database's: web and worker may run on machines whose clocks differ.
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(db_default=Now())
    # When a worker was last notified, at first by the request itself, later by a sweeper.
    rung_at = models.DateTimeField(db_default=Now())
    # When the number may request another code. A definite failure moves it to the present.
    resend_at = models.DateTimeField()
    # When its code signed its visitor in. SMS pumping shows as messages that are sent and never used.
    used_at = models.DateTimeField(null=True, blank=True)
    # Guesses at its code, the right one included. Not in Redis, so that a restart forgives none.
    guesses = models.PositiveSmallIntegerField(default=0, db_default=0)
    # True if the number must not get an SMS (no account, and none may be made): everything but the send happens.
    decoy = models.BooleanField(default=False, db_default=False)
    # True if the browser has signed in with this number before: such requests are counted apart.
    own = models.BooleanField(default=False, db_default=False)
    # False once it is certain that nothing was sent, or an operator has forgiven it: no limit counts it any more.
    counted = models.BooleanField(default=True, db_default=True)
    superseded_at = models.DateTimeField(null=True, blank=True)
    # When the visitor withdrew it (a wrong number). No page shows it any more, and its code is void.
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    # Whoever holds the lease may record the end. Its token is the id of the attempt under way.
    lease_token = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            # The newest of a browser, for its pages.
            models.Index(fields=["browser", "-created_at"], name="delivery_browser"),
            # The rows that a newer request supersedes, and the limits of a number.
            models.Index(fields=["mobile", "-created_at"], name="delivery_mobile"),
            models.Index(fields=["-created_at"], name="delivery_created"),
            # The sweeper's: the few rows that are not over. Not a partial index: SQLite uses one only if the query
            # repeats its condition word for word, and reads the whole table otherwise.
            models.Index(fields=["state", "due_at"], name="delivery_state"),
        ]

    def __str__(self) -> str:
        return f"{self.id[:8]} {self.state}"

    @property
    def code(self) -> str:
        """The six digits: derived each time, stored nowhere."""
        return otp.digits(self.id, self.purpose, self.mobile)

    def is_code(self, given: str) -> bool:
        """Tell in constant time whether these are the digits, under SECRET_KEY or one of SECRET_KEY_FALLBACKS."""
        secrets_ = [None, *settings.SECRET_KEY_FALLBACKS]
        right = [secrets.compare_digest(given, otp.digits(self.id, self.purpose, self.mobile, s)) for s in secrets_]
        return any(right)


class Attempt(models.Model):
    """One call to a provider for a delivery, written before the call."""

    # The token of the lease.
    id = models.CharField(primary_key=True, max_length=32, default=random_id, editable=False)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="tries")
    n = models.PositiveSmallIntegerField()
    gateway = models.CharField(max_length=32)
    # Empty while it is under way.
    outcome = models.CharField(max_length=8, choices=[(o.value, o.value) for o in Outcome], blank=True, default="")
    provider_id = models.CharField(max_length=64, blank=True, default="")
    provider_code = models.CharField(max_length=64, blank=True, default="")
    detail = models.CharField(max_length=200, blank=True, default="")
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [models.UniqueConstraint(fields=["delivery", "n"], name="attempt_once")]
        # Delivery reports name it.
        indexes = [models.Index(fields=["provider_id"], name="attempt_provider")]

    def __str__(self) -> str:
        return f"{self.delivery_id[:8]} {self.n}: {self.outcome or 'under way'}"


class Report(models.Model):
    """A provider's delivery report. It may arrive before the answer to the send that it belongs to, or twice."""

    gateway = models.CharField(max_length=32)
    provider_id = models.CharField(max_length=64, blank=True, default="")
    # The id of our delivery, if the provider returns it.
    reference = models.CharField(max_length=32, blank=True, default="")
    delivered = models.BooleanField()
    provider_code = models.CharField(max_length=64, blank=True, default="")
    received_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("delivery report")
        verbose_name_plural = _("delivery reports")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "provider_id", "reference", "delivered"], name="report_once")
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.provider_id}: {'delivered' if self.delivered else 'failed'}"
