"""Numbers of several countries: digits that are somebody's in each of them, and the signs that stand between digits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers.phonenumberutil import _VALID_PUNCTUATION

from accounts.phone_numbers import BadMobile, WhichCountry, canonical, example, looks_like_mobile, masked
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "several houses on one hill"
# What libphonenumber takes between digits; its x is a letter here, and in its list two signs stand behind a backslash.
PUNCTUATION = sorted(set(re.findall(f"[{_VALID_PUNCTUATION}]", "".join(map(chr, range(0x10000))))) - {"x"})
FORMAT = [*"\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site for the mainland, Hong Kong and Macau, where the owners of one eight-digit number live in two places."""
    with Stack(tmp_path_factory.mktemp("site"), workers=0, SMS_REGIONS="CN,HK,MO", SMS_COOLDOWN="0") as stack:
        stack.user("in-hong-kong", password=PASSWORD, mobile="+85266123456")
        stack.user("in-macau", password=PASSWORD + "!", mobile="+85366123456")
        yield stack


@pytest.mark.parametrize(
    ("regions", "text"),
    [("CN,HK,MO", "6612 3456"), ("CN,US", "1 380 234 5678"), ("MO,HK", "66123456"), ("HK,MO,CN", "(6612)3456")],
)
def test_digits_that_are_two_peoples_are_nobodys_without_a_country(regions: str, text: str) -> None:
    with override_settings(SMS_REGIONS=regions.split(",")), pytest.raises(WhichCountry):
        canonical(text)


def test_digits_of_one_country_only_need_no_country_code() -> None:
    with override_settings(SMS_REGIONS=["HK", "MO", "CN", "US", "CA"]):
        assert canonical("138 0013 8000") == "+8613800138000"
        # One number, although two regions share the country code.
        assert canonical("202 555 0123") == "+12025550123"


def test_the_chosen_country_reads_digits_and_nothing_else() -> None:
    with override_settings(SMS_REGIONS=["CN", "HK", "MO", "GB"]):
        assert canonical("6612 3456", "MO") == "+85366123456"
        assert canonical("6612 3456", "HK") == "+85266123456"
        assert canonical("+44 7400 123456", "HK") == "+447400123456", "what is pasted in full is meant in full"
        assert canonical("0044 7400 123456", "HK") == "+447400123456"
        for region in ("CN", "GB"):
            with pytest.raises(BadMobile):
                canonical("6612 3456", region)
        for region in ("US", "hk", "\x00", "x" * 9000):
            with pytest.raises(WhichCountry):
                canonical("6612 3456", region)


def test_nothing_is_sent_to_a_stranger_with_the_same_digits(site: Stack) -> None:
    before = len(site.deliveries())
    person = site.person()
    answer = person.ask("6612 3456")
    assert (answer.status_code, answer.json()["code"]) == (422, "MOBILE_FORMAT")
    assert "country code" in answer.json()["errmsg"]
    assert "国家" in site.person(language="zh-hans").ask("6612 3456").json()["errmsg"]
    assert len(site.deliveries()) == before
    assert person.ask("6612 3456", region="MO").status_code == 202
    assert site.deliveries()[-1]["mobile"] == "+85366123456"


def test_a_login_by_such_digits_asks_for_the_country_and_counts_no_guess(site: Stack) -> None:
    """For the right password and for a wrong one alike, whoever has an account."""
    person = site.person()
    for password in (PASSWORD, PASSWORD + "!", "none of the two"):
        answer = person.login("6612 3456", password)
        assert (answer.status_code, answer.json()["code"]) == (422, "MOBILE_FORMAT")
        assert "country code" in answer.json()["errmsg"]
        assert person.login("66123456", password).json()["code"] == "MOBILE_FORMAT", "digits alone are no username"
    assert person.login("+853 6612 3456", PASSWORD + "!").json()["username"] == "in-macau"


def test_the_page_offers_the_countries_and_keeps_the_choice_without_script(site: Stack) -> None:
    person = site.person()
    page = person.http.get("/login/", headers={"Accept": "text/html"}).text
    assert re.findall(r'<option value="(\w*)"', page) == ["", "CN", "HK", "MO"]
    answer = person.page("/code/", mobile="661", region="MO")
    assert answer.status_code == 422
    assert '<option value="MO" selected ' in answer.text


def test_the_mask_shows_the_country_where_there_are_several() -> None:
    with override_settings(SMS_REGIONS=["HK", "MO"]):
        assert masked("+85366123456") == "+853 661 **** 6"
    with override_settings(SMS_REGIONS=["HK"]):
        assert masked("+85266123456") == "661 **** 6"


def test_the_example_is_a_number_of_the_first_region() -> None:
    for regions, shown in ((["GB", "CN"], "07400 123456"), (["HK"], "5123 4567"), (["CN"], "138 0013 8000")):
        with override_settings(SMS_REGIONS=regions):
            assert example() == shown
            assert canonical(example(), regions[0])


@pytest.mark.parametrize(
    "text",
    ["\u202a+86 138 0013 8000\u202c", "\u2066138\u00ad0013\u20698000", "(+86) 138 0013 8000",
     "\ufeff+86\u2011138~00138000",
     "[86]138/0013/8000", "+86\u30fc138\u22120013\u20148000", "\u200e+86\u202f138\u30000013\u00a08000\u200f"],
)  # fmt: skip
def test_a_number_from_the_contacts_is_taken(text: str) -> None:
    assert canonical(text) == "+8613800138000"
    assert looks_like_mobile(text)


@given(st.lists(st.sampled_from([*PUNCTUATION, *FORMAT, ""]), min_size=11, max_size=11), st.sampled_from(["", "+86"]))
def test_no_sign_between_digits_makes_another_number(signs: list[str], prefix: str) -> None:
    text = prefix + "".join(digit + sign for digit, sign in zip("13800138000", signs, strict=True))
    assert canonical(text) == "+8613800138000"
    assert looks_like_mobile(text)


@pytest.mark.parametrize(
    "text", ["13800138000x5", "138x00138000", "13800138000;ext=5", "138\n00138000", "+86+13800138000"]
)
def test_what_is_more_than_a_number_stays_refused(text: str) -> None:
    with pytest.raises(BadMobile):
        canonical(text)
