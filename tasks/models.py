"""What was promised to be sent, and each time it was tried. The row is the message; the queue only rings the bell."""

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


# Not over, and not in anybody's hands.
WAITING = (State.QUEUED, State.RETRYING)


class Delivery(models.Model):
    """One accepted request for a code. Its id is the challenge's, the gate's token and the provider's reference."""

    id = models.CharField(primary_key=True, max_length=32, default=random_id, editable=False)
    mobile = models.CharField(_("mobile number"), max_length=16)
    purpose = models.CharField(max_length=16)
    # Keyed hashes: of the browser that asked (it names the group its pages listen to), of the address.
    browser = models.CharField(max_length=32)
    address = models.CharField(max_length=32)
    language = models.CharField(max_length=8)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED, db_default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    reason = models.CharField(max_length=8, choices=[(r.value, r.value) for r in Reason], blank=True, default="")
    # The place in the chain of gateways whose turn it is.
    route = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Who had the last attempt, when it was accepted, and when it was reported on the handset: see delivery_times.py.
    gateway = models.CharField(max_length=32, blank=True, default="", db_default="")
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    # True when the handset may have the same code twice, because nobody knew what became of an attempt.
    possibly_duplicated = models.BooleanField(default=False, db_default=False)
    # All times are the database's: web and worker may run on machines whose clocks differ.
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(db_default=Now())
    # When a sweeper last rang for it: the bell that the request itself rang is the first.
    rung_at = models.DateTimeField(db_default=Now())
    # When this number may be asked for again; a definite failure moves it to the present.
    resend_at = models.DateTimeField()
    # When its code signed somebody in. What is sent and never used is how SMS pumping shows.
    used_at = models.DateTimeField(null=True, blank=True)
    # Codes that were typed for it, the right one among them. Here and not in Redis: a restart forgives none of them.
    guesses = models.PositiveSmallIntegerField(default=0, db_default=0)
    # True when no SMS is wanted for this number (no account, and none may be made): everything but the send happens.
    decoy = models.BooleanField(default=False, db_default=False)
    # True when the browser that asked has signed in with this number before: such requests are counted apart.
    own = models.BooleanField(default=False, db_default=False)
    # False once it is certain that nothing was sent, or when an operator has forgiven it: limits count it no more.
    counted = models.BooleanField(default=True, db_default=True)
    superseded_at = models.DateTimeField(null=True, blank=True)
    # When the visitor took it back: a wrong number. No page shows it any more, and its code opens nothing.
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    # Who holds the lease may finish; its token is the id of the attempt under way.
    lease_token = models.CharField(max_length=32, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            # The newest of a browser, for its pages.
            models.Index(fields=["browser", "-created_at"], name="delivery_browser"),
            # What a newer request supersedes, and the limits of a number.
            models.Index(fields=["mobile", "-created_at"], name="delivery_mobile"),
            models.Index(fields=["-created_at"], name="delivery_created"),
            # The sweeper's: all that is not over, which is little. Not a partial index: SQLite takes one only for the
            # very words of its condition, and reads the whole table instead.
            models.Index(fields=["state", "due_at"], name="delivery_state"),
        ]

    def __str__(self) -> str:
        return f"{self.id[:8]} {self.state}"

    @property
    def code(self) -> str:
        """The six digits: derived each time, held nowhere."""
        return otp.digits(self.id, self.purpose, self.mobile)

    def is_code(self, given: str) -> bool:
        """Tell in constant time whether these are the digits, under SECRET_KEY or one that it has just replaced."""
        secrets_ = [None, *settings.SECRET_KEY_FALLBACKS]
        right = [secrets.compare_digest(given, otp.digits(self.id, self.purpose, self.mobile, s)) for s in secrets_]
        return any(right)


class Attempt(models.Model):
    """One try to hand a delivery to a provider, written before the provider is called."""

    # The lease's token.
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
        # By what a delivery report names.
        indexes = [models.Index(fields=["provider_id"], name="attempt_provider")]

    def __str__(self) -> str:
        return f"{self.delivery_id[:8]} {self.n}: {self.outcome or 'under way'}"


class Report(models.Model):
    """A provider's delivery report, kept: it may come before the answer that says whose it is, and come twice."""

    gateway = models.CharField(max_length=32)
    provider_id = models.CharField(max_length=64, blank=True, default="")
    # Our delivery's id, where the provider gives it back.
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
