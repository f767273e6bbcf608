"""Delivery reports of the providers: each is stored, matched to its attempt, and shown on the open pages.

A report may be late, doubled, out of order, forged, or earlier than the answer to the send itself.
"""

from __future__ import annotations

import logging
import secrets

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from project import outage
from tasks import delivery, gateways
from tasks.gateways import Forged, Receipt, Reporting
from tasks.models import Attempt, Report

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def receive(request: HttpRequest, gateway: str, secret: str) -> HttpResponse:
    """Take a provider's delivery reports. An unknown path is a 404, a forged report a 403: both change nothing."""
    expected = getattr(settings, f"{gateway.upper()}_RECEIPT_SECRET", "") if gateway in settings.GATEWAYS else ""
    if not expected or not secrets.compare_digest(secret.encode(), expected.encode()):
        raise Http404
    provider = gateways.get(gateway)
    if not isinstance(provider, Reporting):
        raise Http404
    form: dict[str, str] = {}
    if request.content_type == "application/x-www-form-urlencoded":
        form = {name: str(value) for name, value in request.POST.items()}
        body = request.body
    else:
        # Not `request.body`, which has the size limit of a visitor's form: a batch has hundreds of reports.
        body = request.read(settings.RECEIPTS_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.RECEIPTS_MAX_MEMORY_SIZE:
            logger.warning("a report for %s was refused: too long", gateway)
            return HttpResponse(status=413)
    # The address that the provider called. Behind a proxy the request does not have its scheme and host.
    url = settings.PUBLIC_ORIGIN + request.get_full_path()
    try:
        reports = provider.receipts(body, form, url, request.headers)
    except Forged as forgery:
        logger.warning("a report for %s was refused: %s", gateway, forgery)
        return HttpResponse(status=403)
    try:
        for report in reports:
            take(gateway, report)
    except DatabaseError as error:
        # The provider reports again.
        logger.warning("a report of %s was not taken: %s", gateway, outage.name(error))
        return HttpResponse(status=503)
    content_type, reply = provider.receipt_reply
    return HttpResponse(reply, content_type=content_type)


def take(gateway: str, receipt: Receipt) -> None:
    """Store a report and apply it to its delivery. The same report again changes nothing."""
    Report.objects.get_or_create(
        gateway=gateway,
        provider_id=receipt.provider_id[:64],
        reference=receipt.reference[:32],
        delivered=receipt.delivered,
        defaults={"provider_code": receipt.provider_code[:64]},
    )
    # Store first, then look: whichever comes second, this report or the send's answer, finds the other.
    attempt = _attempt(gateway, receipt)
    if attempt is None:
        logger.info("a report of %s is kept: its message is not known yet", gateway)
    else:
        reason = gateways.report_reason(gateway, receipt.provider_code)
        delivery.reported(attempt.pk, delivered=receipt.delivered, reason=reason, code=receipt.provider_code)


def _attempt(gateway: str, receipt: Receipt) -> Attempt | None:
    """Return a report's attempt: by the provider's id, or by our reference if the send's answer was lost."""
    tries = Attempt.objects.filter(gateway=gateway)
    found = tries.filter(provider_id=receipt.provider_id).first() if receipt.provider_id else None
    if found is None and receipt.reference:
        found = tries.filter(delivery=receipt.reference, provider_id="").order_by("-n").first()
    return found
