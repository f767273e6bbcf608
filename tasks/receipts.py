"""What providers report back: kept, matched to the attempt that it is about, and told to the open pages.

A report may be late, doubled, out of order, forged, or sooner than the answer to the send itself.
"""

from __future__ import annotations

import logging
import secrets

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from tasks import delivery, gateways
from tasks.gateways import Forged, Receipt, Reporting
from tasks.models import Attempt, Report

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def receive(request: HttpRequest, gateway: str, secret: str) -> HttpResponse:
    """Take a provider's delivery reports. An unknown path is a 404, a forged report a 403: both change nothing."""
    right = getattr(settings, f"{gateway.upper()}_RECEIPT_SECRET", "") if gateway in settings.GATEWAYS else ""
    if not right or not secrets.compare_digest(secret.encode(), right.encode()):
        raise Http404
    provider = gateways.get(gateway)
    if not isinstance(provider, Reporting):
        raise Http404
    form: dict[str, str] = {}
    if request.content_type == "application/x-www-form-urlencoded":
        form = {name: str(value) for name, value in request.POST.items()}
        body = request.body
    else:
        # Not `body`, which is bound to what a visitor's form may have: a batch has hundreds of reports.
        body = request.read(settings.RECEIPTS_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.RECEIPTS_MAX_MEMORY_SIZE:
            logger.warning("a report for %s was refused: too long", gateway)
            return HttpResponse(status=413)
    # As the provider called it: behind a proxy the request itself does not know its scheme and host.
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
        logger.warning("a report of %s was not taken: %s", gateway, type(error).__name__)
        return HttpResponse(status=503)
    content_type, reply = provider.receipt_reply
    return HttpResponse(reply, content_type=content_type)


def take(gateway: str, receipt: Receipt) -> None:
    """Keep a report and let it move its delivery. The same report again does nothing."""
    Report.objects.get_or_create(
        gateway=gateway,
        provider_id=receipt.provider_id[:64],
        reference=receipt.reference[:32],
        delivered=receipt.delivered,
        defaults={"provider_code": receipt.provider_code[:64]},
    )
    # Kept first, then looked for: whoever comes second, this or the send's answer, finds the other.
    attempt = _attempt(gateway, receipt)
    if attempt is None:
        logger.info("a report of %s is kept: its message is not known yet", gateway)
    else:
        delivery.reported(attempt.pk, delivered=receipt.delivered)


def _attempt(gateway: str, receipt: Receipt) -> Attempt | None:
    """Return the attempt that a report is about, by the provider's id, or by our own where the answer was lost."""
    tries = Attempt.objects.filter(gateway=gateway)
    found = tries.filter(provider_id=receipt.provider_id).first() if receipt.provider_id else None
    if found is None and receipt.reference:
        found = tries.filter(delivery=receipt.reference, provider_id="").order_by("-n").first()
    return found
