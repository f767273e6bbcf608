"""The forms. Each ends in clean data, or in the error code of its first fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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

# Characters of a password to check. No password is longer, and 16 KB add nothing to the cost of a hash.
MOST_CHECKED = 4096


def sent(request: HttpRequest) -> Mapping[str, Any]:
    """Return the fields of a form, or of a JSON object of strings and booleans. Raises BadRequest for other JSON."""
    if request.content_type != "application/json":
        return request.POST
    try:
        body = json.loads(request.body)
        # Half a surrogate pair is valid JSON but cannot be encoded: hashing or storing it would fail.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(body, dict) or not all(isinstance(value, str | bool) for value in body.values()):
        raise BadRequest("the body is not a JSON object of texts")
    return body


class Form(forms.Form):
    """A form that names its first fault by an error code of the JSON contract."""

    # The error code of each field, for a value that is present and invalid.
    words: Mapping[str, str] = {}

    def fault(self) -> tuple[str, str]:
        """Return the error code and the field of the first fault. A missing field comes before an invalid one."""
        errors = self.errors.as_data()
        for name in self.fields:
            if any(error.code == "required" for error in errors.get(name, [])):
                return "PARAM_MISSING", name
        name = next(name for name in self.fields if name in errors)
        if any(error.code == "country" for error in errors[name]):
            return "MOBILE_FORMAT", name
        return self.words.get(name, "PARAM_MISSING"), name

    def why(self) -> str:
        """Return a sentence that is more precise than that of the error code, or an empty string."""
        _word, name = self.fault()
        if any(error.code == "country" for error in self.errors.as_data().get(name, [])):
            return _("This number exists in more than one country. Add the country code, for example +%(code)d.") % {
                "code": country_code_for_region(settings.SMS_REGIONS[0])
            }
        return ""

    def number_in(self, name: str) -> str:
        """Return the number in a field in E.164, read in the country that was chosen beside it."""
        try:
            return canonical(self.cleaned_data[name], str(self.data.get("region") or ""))
        except WhichCountry as error:
            raise ValidationError("a number in several countries", code="country") from error
        except BadMobile as error:
            raise ValidationError("not a mobile number", code="format") from error

    def destination(self, request: HttpRequest) -> str:
        """Return where to go after a login: `next` if it is a path on this host, else an empty string."""
        wanted = str(self.data.get("next") or "")
        here = url_has_allowed_host_and_scheme(
            wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )
        # No line break or tab: browsers drop them, which makes another URL. `//` and `/\` begin another host.
        plain = wanted.isprintable() and len(wanted) <= 2000 and wanted[1:2] not in {"/", "\\"}
        return wanted if here and plain and wanted.startswith("/") else ""


class ProvenForm(Form):
    """A form with an optional proof of work, which accounts/throttling/proof_of_work.py checks."""

    # Without max_length: a proof that is too long is an invalid proof, not a fault of the form.
    altcha = forms.CharField(required=False, strip=False)


class PasswordForm(ProvenForm):
    """Sign in with a password."""

    words = {"username": "USERNAME_FORMAT", "password": "PASSWORD_FORMAT"}

    username = forms.CharField(max_length=64)
    # Unchanged: no strip, no case folding (ASVS 5.0, 6.2.8). The least length is a rule for new passwords.
    password = forms.CharField(strip=False, max_length=MOST_CHECKED)
    remembered = forms.BooleanField(required=False)

    def clean_username(self) -> str:
        """Accept a username or a mobile number."""
        # Characters are not normalised: a look-alike of a username is another username.
        name = unformatted(self.cleaned_data["username"])
        # Numbers first: digits alone are a valid username too, and an ambiguous number needs its country code.
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

    mobile = forms.CharField(max_length=64, required=False)
    purpose = forms.ChoiceField(choices=[(purpose, purpose) for purpose in PURPOSES], required=False)
    # A masked number that the page shows: without another it is meant. So no page has to know the whole one.
    number = forms.CharField(max_length=64, required=False)
    # Set where the page shows that number alone: it counts, whatever is in the hidden field.
    same = forms.BooleanField(required=False)

    # The masked number is read before it is needed.
    field_order = ("number", "same", "mobile", "purpose")

    def __init__(self, data: Mapping[str, Any], *, known: Callable[[], list[str]] = list) -> None:
        """Take the fields, and what returns the numbers (E.164) that may be meant by a masked one: none by default."""
        super().__init__(data)
        self._known = known

    def clean_mobile(self) -> str:
        """Accept any spelling of a number, or the masked one that was shown, and return E.164."""
        typed, shown = self.cleaned_data["mobile"], self.cleaned_data.get("number")
        if shown and (not typed or self.cleaned_data.get("same")):
            for mobile in self._known():
                if masked(mobile) == shown:
                    return mobile
        if not typed:
            raise ValidationError("no number", code="required")
        return self.number_in("mobile")

    def clean_purpose(self) -> str:
        """Default to `login`."""
        return self.cleaned_data["purpose"] or "login"


class WithdrawForm(Form):
    """Withdraw a request for a code."""

    # The masked number that the page shows, or the number: an outdated page must not withdraw a newer request.
    number = forms.CharField(max_length=64, required=False)

    def means(self, mobile: str) -> bool:
        """Tell whether the form means this number (E.164). Without a number it means the latest request."""
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

    # No strip: it would remove line breaks and full-width spaces as well.
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
        """Accept any spelling, or no number."""
        if not self.cleaned_data["mobile"]:
            return None
        return self.number_in("mobile")
