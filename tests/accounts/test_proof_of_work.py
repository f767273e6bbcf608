"""The proof that no robot asks: a sum of ours, solved in time, and handed in once. The solver is the library's."""

from __future__ import annotations

import base64
import json
import signal
import time
from typing import TYPE_CHECKING, Any

import altcha
import pytest
from django.conf import settings as loaded
from django.test import Client

from accounts.throttling import proof_of_work
from project import keys, redis
from project.run import valkey
from tests.support.numbers import number
from tests.support.person import leaves
from tests.support.stack import Stack
from tests.support.together import together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from tests.support.person import Person

PASSWORD = "correct horse battery"
OTHER_KEY = "another key: eight nine ten eleven twelve"


@pytest.fixture
def site(settings: Settings) -> Iterator[Settings]:
    """This process as a web server, with a Valkey of its own; the sums are small."""
    valkey.ensure(settings.VAR_DIR)
    settings.ALTCHA, settings.ALTCHA_COST = "always", 5
    yield settings
    redis.client().flushdb()


def solve(given: dict[str, Any]) -> altcha.Payload:
    """Do what a browser does with a challenge."""
    challenge = altcha.Challenge.from_dict(given)
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return altcha.Payload(challenge, solution)


def solved() -> dict[str, Any]:
    """Return a fresh proof as it is before it is wrapped up."""
    return solve(proof_of_work.challenge()).to_dict()


def wrapped(value: object) -> str:
    """Wrap up whatever it is, as a browser does."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def made(**fields: Any) -> str:
    """Return the solved challenge of somebody who knows how they are made."""
    fields = {"hmac_secret": keys.derive("altcha"), "expires_at": int(time.time()) + 60, **fields}
    return solve(
        altcha.create_challenge(proof_of_work.ALGORITHM, proof_of_work.ITERATIONS, counter=3, **fields).to_dict()
    ).to_base64()


# --- What a proof is worth


def test_a_proof_is_taken_once(site: Settings) -> None:
    """T-19."""
    one, another = wrapped(solved()), wrapped(solved())
    assert proof_of_work.verify(one)
    assert not proof_of_work.verify(one)
    assert proof_of_work.verify(another)
    assert not proof_of_work.verify(another)


def test_of_many_who_hand_in_the_same_proof_at_once_one_is_believed(site: Settings) -> None:
    """T-19: whatever it is wrapped in, a proof is known by its challenge."""
    whole = solved()
    payloads = [wrapped({**whole, "more": n}) for n in range(16)]
    assert len(set(payloads)) == 16
    assert sorted(together([lambda payload=payload: proof_of_work.verify(payload) for payload in payloads])) == [  # type: ignore[misc]
        *[False] * 15,
        True,
    ]


def test_a_used_proof_is_remembered_longer_than_it_lives_and_not_for_ever(site: Settings) -> None:
    """T-19."""
    whole = solved()
    assert proof_of_work.verify(wrapped(whole))
    (key,) = redis.client().keys("*:proof:*")
    left = whole["challenge"]["parameters"]["expiresAt"] - time.time()
    assert 0 < left <= proof_of_work.LIFETIME_SECONDS
    assert left < redis.client().ttl(key) <= left + proof_of_work.SLACK_SECONDS + 1


def test_a_proof_that_comes_too_late_is_none(site: Settings) -> None:
    assert proof_of_work.verify(made()), "or this test means nothing"
    assert not proof_of_work.verify(made(expires_at=int(time.time()) - 1))


def test_a_sum_that_we_have_not_set_proves_nothing(site: Settings) -> None:
    """A robot would set itself the easiest."""
    assert not proof_of_work.verify(made(hmac_secret=b"somebody's own"))
    assert not proof_of_work.verify(made(hmac_secret=None))
    # Ours are signed for this and nothing else: another purpose's key is another key.
    assert not proof_of_work.verify(made(hmac_secret=keys.derive("queue")))


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("parameters", "cost", 1),
        ("parameters", "keyPrefix", ""),
        ("parameters", "keyPrefix", "00"),
        ("parameters", "nonce", "0" * 32),
        ("parameters", "expiresAt", 2**40),
        ("parameters", "expiresAt", None),
        ("parameters", "algorithm", "SHA-256"),
        ("solution", "counter", 2**32),
        ("solution", "counter", -1),
        ("solution", "counter", True),
        ("solution", "derivedKey", "0" * 64),
    ],
)
def test_a_proof_that_was_changed_is_none(site: Settings, where: str, name: str, value: object) -> None:
    whole = solved()
    part = whole["solution"] if where == "solution" else whole["challenge"]["parameters"]
    # One of three thousand solutions is 1, which is True.
    assert (type(part[name]), part[name]) != (type(value), value)
    part[name] = value
    assert not proof_of_work.verify(wrapped(whole))
    assert redis.client().keys("*:proof:*") == [], "somebody else's proof could be used up"


def test_a_change_of_secret_key_keeps_the_proofs_under_way(site: Settings) -> None:
    """T-43."""
    old = site.SECRET_KEY
    before, later = wrapped(solved()), wrapped(solved())
    site.SECRET_KEY, site.SECRET_KEY_FALLBACKS = OTHER_KEY, [old]
    assert proof_of_work.verify(before)
    assert not proof_of_work.verify(before)
    assert proof_of_work.verify(wrapped(solved()))
    site.SECRET_KEY_FALLBACKS = []
    assert not proof_of_work.verify(later), "a key that was taken away still counts"


def garbage() -> dict[str, object]:
    """Return what strangers may write into the field, by what it is."""
    whole = {"challenge": {"parameters": {}, "signature": ""}, "solution": {"counter": 0, "derivedKey": ""}}
    deep = base64.b64encode(b"[" * 1400).decode()
    return {
        "empty": "",
        "a word": "proof",
        "no base64": "=====",
        "characters": "证明\ud800\x00",
        "bytes": base64.b64encode(b"\xff\xfe\x00").decode(),
        "not a number": base64.b64encode(b'{"challenge": NaN, "solution": NaN}').decode(),
        "numbers": wrapped(5),
        "nothing": wrapped(None),
        "a list": wrapped([whole]),
        "empty parts": wrapped({"challenge": {}, "solution": {}}),
        "lists for parts": wrapped({"challenge": [], "solution": []}),
        "no parameters": wrapped(whole),
        "deep": deep,
        "version 1": wrapped({"algorithm": "SHA-256", "challenge": "0", "number": 1, "salt": "0", "signature": "0"}),
        "long": "A" * 100_000,
        "a number, no text": 5,
        "a yes": True,
        "none": None,
    }


@pytest.mark.parametrize("what", garbage())
def test_garbage_is_no_proof_and_no_trouble(site: Settings, what: str) -> None:
    """T-81."""
    assert proof_of_work.verify(garbage()[what]) is False  # type: ignore[arg-type]


# JSON has one kind of number and Python has two: 1000.0 is signed like 1000, and then it is no count of rounds.
@pytest.mark.parametrize("name", ["cost", "keyLength", "expiresAt"])
@pytest.mark.parametrize("value", [float, lambda value: float("nan"), lambda value: [value], str])
def test_a_number_of_another_kind_is_no_trouble(site: Settings, name: str, value: Any) -> None:
    """T-81."""
    whole = solved()
    parameters = whole["challenge"]["parameters"]
    parameters[name] = value(parameters[name])
    assert proof_of_work.verify(wrapped(whole)) in {True, False}
    assert not proof_of_work.verify(wrapped(whole))


def test_without_redis_nothing_is_believed(site: Settings) -> None:
    """T-64, T-65: it cannot be known whether it was used before."""
    server = valkey.owned[site.VAR_DIR / "valkey"].server
    payload = wrapped(solved())
    server.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(redis.Unavailable):
            proof_of_work.verify(payload)
        # Who brings none has not asked Redis anything.
        assert not proof_of_work.verify("")
        assert not proof_of_work.verify("nonsense")
    finally:
        server.send_signal(signal.SIGCONT)
    assert proof_of_work.verify(wrapped(solved()))


# --- Where a challenge comes from


def test_a_challenge_says_nothing_about_anybody_and_is_kept_nowhere(site: Settings) -> None:
    """Without the database's fixture a single query would fail this test."""
    first, second = Client().get("/proof/"), Client().get("/proof/")
    for answer in (first, second):
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        assert "no-store" in answer["Cache-Control"]
        assert not answer.cookies
        assert set(answer.json()) == {"parameters", "signature"}
        assert set(answer.json()["parameters"]) == {
            *("algorithm", "cost", "expiresAt", "keyLength", "keyPrefix", "nonce", "salt")
        }
    assert first.json() != second.json()
    assert redis.client().keys("*") == []
    assert proof_of_work.verify(solve(first.json()).to_base64())
    assert Client().post("/proof/").status_code == 405


def test_where_no_proof_is_wanted_none_is_handed_out(site: Settings) -> None:
    site.ALTCHA = "off"
    assert Client().get("/proof/").status_code == 404


def test_a_developers_own_site_asks_for_none(settings: Settings) -> None:
    assert loaded.DEBUG or settings.ALTCHA == "off", "the tests' settings are a developer's"
    assert settings.ALTCHA == "off"


# --- On the site


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that always asks, on two web servers."""
    with Stack(tmp_path_factory.mktemp("guarded"), webs=2, ALTCHA="always", ALTCHA_COST="20") as stack:
        stack.user("alice", password=PASSWORD)
        yield stack


def a_proof(stack: Stack) -> str:
    """Get a challenge from the site, as a program does, and solve it."""
    return solve(stack.get("/proof/").json()).to_base64()


def test_a_program_is_asked_for_a_proof_and_goes_on_with_one(guarded: Stack) -> None:
    """T-6: each code costs who asks for it a sum, on whichever web server."""
    person, other = guarded.person(), guarded.person(port=guarded.ports[1])
    refused = person.ask(number())
    assert (refused.status_code, refused.json()["code"]) == (428, "PROOF_NEEDED")
    assert refused.json()["errmsg"]
    assert refused.json()["proof"] == "/proof/"
    payload = a_proof(guarded)
    assert other.ask(number(), altcha=payload).status_code == 202
    again = person.ask(number(), altcha=payload)
    assert (again.status_code, again.json()["code"]) == (428, "PROOF_NEEDED")
    assert again.json()["errmsg"] != refused.json()["errmsg"]
    assert person.ask(number(), altcha="nonsense" * 5000).status_code == 428

    login = {"username": "alice", "password": PASSWORD}
    assert person.post("/login/", **login).json()["code"] == "PROOF_NEEDED"
    assert person.username == ""
    assert person.post("/login/", altcha=payload, **login).status_code == 428
    assert person.post("/login/", altcha=a_proof(guarded), **login).status_code == 200
    assert person.username == "alice"


@pytest.mark.parametrize(
    ("place", "path", "fields"),
    [
        ("code", "/code/", {"mobile": "13800138000"}),
        ("password", "/login/", {"username": "alice", "password": PASSWORD}),
    ],
)
def test_a_page_is_given_what_solves_it(guarded: Stack, place: str, path: str, fields: dict[str, str]) -> None:
    """Leaves, and never a form in them; without JavaScript a page that says what is missing."""
    person: Person = guarded.person()
    answer = person.htmx(path, **fields)
    assert answer.status_code == 428
    told = leaves(answer.text)
    assert told[f"{place}-proof"]["data-proof"] == "now"
    assert told[f"{place}-message"]["text"]
    assert "<form" not in answer.text
    # One that did not count: the page must not go round by itself.
    answer = person.htmx(path, **fields, altcha="nonsense")
    assert leaves(answer.text)[f"{place}-proof"]["data-proof"] == "again"
    answer = person.page(path, **fields)
    assert answer.status_code == 428
    assert leaves(answer.text)[f"{place}-proof"]["data-proof"] == "now"
    assert "needs JavaScript" in answer.text


def test_a_site_without_redis_takes_no_proof(guarded: Stack) -> None:
    """T-64. The last of this file on this site: its Valkey is killed."""
    person = guarded.person()
    payload, token = a_proof(guarded), person.token
    assert token
    guarded.kill_valkey()
    refused = person.ask(number(), altcha=payload)
    assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
    assert guarded.get("/proof/").status_code == 200
