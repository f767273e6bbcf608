"""Apprise: the SMS services that it knows by a URL, for sites that have an account with none of the others.

Apprise says yes or no, and its no is the same for "the number is wrong", "the token is wrong", "no connection" and "the
answer was lost". So a no is an unknown outcome: calling it not sent would send some codes twice, and calling it refused
would tell people of an SMS on its way that it failed. The price is that nobody is helped by the next gateway of the
chain; put this one last. It has no ids and no delivery reports.

Sources: github.com/caronc/apprise, and its pages on each service.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import apprise
import phonenumbers
from django.conf import settings

from tasks.gateways import Answer, Outcome, Reason, http
from tasks.gateways.status_codes import log_unforeseen

if TYPE_CHECKING:
    from tasks.gateways import Message

# It writes full numbers at WARNING and whole messages at DEBUG, and nothing that an Answer does not say.
logging.getLogger("apprise").disabled = True


class Apprise:
    """The gateway through Apprise."""

    idempotent = False

    def send(self, message: Message) -> Answer:
        """Send one message through the service that APPRISE_URL names. Never raises."""
        try:
            service = _service(message.to)
        except phonenumbers.NumberParseException:
            return Answer(Outcome.REFUSED, Reason.NUMBER, detail="not a phone number")
        except Exception as exc:  # noqa: BLE001 - a gateway answers and never raises
            log_unforeseen(exc)
            return Answer(Outcome.REFUSED, Reason.OPERATOR, detail="the request could not be made; see the log")
        said: queue.SimpleQueue[bool | None] = queue.SimpleQueue()

        def notify() -> None:
            try:
                said.put(bool(service.notify(body=message.text)))
            except Exception as exc:  # noqa: BLE001 - as above, and by now something may have left
                log_unforeseen(exc)
                said.put(None)

        # Its time-outs are for each read. When an answer drips in, this thread outlives our wait, but nobody waits for
        # it then, not even a stopping worker.
        threading.Thread(target=notify, name="apprise", daemon=True).start()
        try:
            yes = said.get(timeout=http.TOTAL)
        except queue.Empty:
            return Answer(Outcome.UNKNOWN, detail="no answer in time")
        if yes:
            return Answer(Outcome.ACCEPTED, detail="Apprise says yes")
        if yes is None:
            return Answer(Outcome.UNKNOWN, Reason.OPERATOR, detail="something unforeseen; see the log")
        return Answer(Outcome.UNKNOWN, Reason.OPERATOR, detail="Apprise says no, and not why")


def _service(to: str) -> apprise.NotifyBase:
    """Return the service, ready to send to that one number, once, and not for long."""
    number = phonenumbers.format_number(phonenumbers.parse(to), phonenumbers.PhoneNumberFormat.E164)
    # Quoted: a bare plus in the query of a URL is a blank.
    url = settings.APPRISE_URL.replace("{to}", quote(number, safe="")).replace("{digits}", number.removeprefix("+"))
    service = apprise.Apprise.instantiate(url, suppress_exceptions=False)
    if not isinstance(service, apprise.NotifyBase):
        raise TypeError("APPRISE_URL names no service")
    service.socket_connect_timeout = http.CONNECT
    service.socket_read_timeout = http.READ
    # A redirect would take the credentials along to wherever it points.
    service.redirects = False
    # A retry of its own would be a second SMS that nobody has written down.
    service.retry = 0
    if len(service) != 1:
        raise ValueError("APPRISE_URL names more than one number")
    return service
