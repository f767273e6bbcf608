"""What one request does with its form stays with that request."""

from __future__ import annotations

import pytest

from accounts import forms

FORMS = [forms.PasswordForm, forms.CodeRequestForm, forms.WithdrawForm, forms.CodeForm]


@pytest.mark.parametrize("kind", FORMS)
def test_a_field_that_one_request_changes_is_as_before_in_the_next(kind: type[forms.Form]) -> None:
    """Forms change their fields, as NewPasswordForm does, and Django copies each field for that."""
    mine = kind({})
    for field in mine.fields.values():
        field.required = not field.required
        field.error_messages["required"] = "mine"
        field.widget.attrs["data-mine"] = "1"
    theirs = kind({})
    for name, field in theirs.fields.items():
        assert field.required is not mine.fields[name].required
        assert field.error_messages["required"] != "mine"
        assert "data-mine" not in field.widget.attrs


def test_an_optional_field_of_one_visitor_is_required_of_the_next() -> None:
    mine = forms.CodeForm({"code": "123456"})
    mine.fields["code"].required = False
    assert forms.CodeForm({}).fault() == ("PARAM_MISSING", "code")
