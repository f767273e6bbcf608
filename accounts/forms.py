"""What visitors send us, bound and cleaned. Each form ends in clean data or in one stable word for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from phonenumbers import country_code_for_region

from accounts.codes import PURPOSES, digits
from accounts.models import USERNAME
from accounts.phone_numbers import BadMobile, WhichCountry, canonical, looks_like_mobile, masked, unformatted

# Longer than any password that somebody has, and still nothing beside the cost of a hash: at most 16 KB.
MOST_CHECKED = 4096
# ASCII digits only: `\d` and str.isdigit() take Arabic-Indic and superscript ones.


def sent(request: HttpRequest) -> Mapping[str, Any]:
    """Return the fields: a form's, or a JSON object's texts and booleans. Raises BadRequest for other JSON."""
    if request.content_type != "application/json":
        return request.POST
    try:
        body = json.loads(request.body)
        # Half a surrogate pair is JSON and no text: hashing it or writing it down would fail.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(body, dict) or not all(isinstance(value, str | bool) for value in body.values()):
        raise BadRequest("the body is not a JSON object of texts")
    return body


class Form(forms.Form):
    """A form that names its first fault with the contract's word."""

    # The word for whatever is wrong with a field that is there.
    words: Mapping[str, str] = {}

    def fault(self) -> tuple[str, str]:
        """Return the word and the field of the first fault. A missing field comes before a malformed one."""
        errors = self.errors.as_data()
        for name in self.fields:
            if any(error.code == "required" for error in errors.get(name, [])):
                return "PARAM_MISSING", name
        name = next(name for name in self.fields if name in errors)
        if any(error.code == "country" for error in errors[name]):
            return "MOBILE_FORMAT", name
        return self.words.get(name, "PARAM_MISSING"), name

    def why(self) -> str:
        """Return a sentence that says more than the first fault's word does, or nothing."""
        _word, name = self.fault()
        if any(error.code == "country" for error in self.errors.as_data().get(name, [])):
            return _("This number exists in more than one country. Add the country code, for example +%(code)d.") % {
                "code": country_code_for_region(settings.SMS_REGIONS[0])
            }
        return ""

    def number_in(self, name: str) -> str:
        """Return the number in a field, whatever its spelling, read in the country that was chosen beside it."""
        try:
            return canonical(self.cleaned_data[name], str(self.data.get("region") or ""))
        except WhichCountry as error:
            raise ValidationError("a number in several countries", code="country") from error
        except BadMobile as error:
            raise ValidationError("not a mobile number", code="format") from error

    def destination(self, request: HttpRequest) -> str:
        """Return where to go after a login: `next` if it is a path on this host, else nowhere ("")."""
        wanted = str(self.data.get("next") or "")
        here = url_has_allowed_host_and_scheme(
            wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )
        # No line break or tab: browsers drop them, and then it is another address. A bare `//` is none at all.
        plain = wanted.isprintable() and len(wanted) <= 2000 and wanted[1:2] not in {"/", "\\"}
        return wanted if here and plain and wanted.startswith("/") else ""


class ProvenForm(Form):
    """A form that may carry a proof of work; accounts/throttling/proof_of_work.py checks it."""

    # Too long is none, and no fault to name.
    altcha = forms.CharField(required=False, strip=False)


class PasswordForm(ProvenForm):
    """Sign in with a password."""

    words = {"username": "USERNAME_FORMAT", "password": "PASSWORD_FORMAT"}

    username = forms.CharField(max_length=64)
    # As typed: no strip, no case (ASVS 5.0, 6.2.8). How long it must be is a rule for new ones.
    password = forms.CharField(strip=False, max_length=MOST_CHECKED)
    remembered = forms.BooleanField(required=False)

    def clean_username(self) -> str:
        """Take a username or a mobile number."""
        # Not in plain signs: a look-alike of a name is not that name.
        name = unformatted(self.cleaned_data["username"])
        # A number first: digits alone are spelt like a username, and digits of two countries are asked about.
        if USERNAME.fullmatch(name) and not looks_like_mobile(name):
            return name
        try:
            return self.number_in("username")
        except ValidationError as error:
            if error.code == "format" and USERNAME.fullmatch(name):
                return name
            raise


class CodeRequestForm(ProvenForm):
    """Ask for a code."""

    words = {"mobile": "MOBILE_FORMAT", "purpose": "PURPOSE_UNKNOWN"}

    mobile = forms.CharField(max_length=64)
    purpose = forms.ChoiceField(choices=[(purpose, purpose) for purpose in PURPOSES], required=False)

    def clean_mobile(self) -> str:
        """Take any spelling of a number, make it the one."""
        return self.number_in("mobile")

    def clean_purpose(self) -> str:
        """Log in, unless something else is said."""
        return self.cleaned_data["purpose"] or "login"


class WithdrawForm(Form):
    """Take back what was asked for."""

    # What the page shows of the number, or the number itself: a page that is behind takes nothing newer back.
    number = forms.CharField(max_length=64, required=False)

    def means(self, mobile: str) -> bool:
        """Tell whether it is about this number (E.164). Without a number it is about whichever is the last."""
        wanted = self.cleaned_data["number"]
        if wanted in {"", masked(mobile)}:
            return True
        try:
            return canonical(wanted) == mobile
        except BadMobile:
            return False


class CodeForm(Form):
    """Sign in with a code."""

    words = {"code": "SMS_CODE_WRONG", "mobile": "MOBILE_FORMAT"}

    # No strip: it would take line breaks and full-width spaces away as well.
    code = forms.CharField(max_length=32, strip=False)
    mobile = forms.CharField(max_length=64, required=False)
    remembered = forms.BooleanField(required=False)

    def clean_code(self) -> str:
        """Return six ASCII digits, however they were copied or filled in."""
        code = digits.read(self.cleaned_data["code"])
        if code is None:
            raise ValidationError("not six digits", code="format")
        return code

    def clean_mobile(self) -> str | None:
        """Take any spelling, or none."""
        if not self.cleaned_data["mobile"]:
            return None
        return self.number_in("mobile")
