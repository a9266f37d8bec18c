"""What is taken out of a text, and what is left alone."""

from __future__ import annotations

import json

import httpx
import pytest

from rerank_core import Reranker, RerankError
from rerank_core._resolve.secrets import (
    header_secrets,
    make_hider,
    named_secrets,
    secrets_in,
    url_secrets,
)

from .canary import CANARY, encodings, found_in


def hide(text: str, secrets: list[str], most: int = 1000) -> str:
    """The text without the secrets."""
    return make_hider(secrets)(text, most)


@pytest.mark.parametrize("form", sorted({*encodings(CANARY)}))
@pytest.mark.parametrize("around", ["{}", "key {} is wrong", '{{"key":"{}"}}', "a{}b"])
def test_a_secret_is_hidden_in_every_encoding(around: str, form: str) -> None:
    """Whatever stands around it."""
    text = hide(around.format(form), [CANARY])

    assert found_in([text], [CANARY]) == []
    assert "[redacted]" in text


@pytest.mark.parametrize("most", range(20, 60))
def test_what_a_cut_leaves_of_a_secret_is_hidden(most: int) -> None:
    """At whichever character the text was cut."""
    text = f"the key {CANARY} is wrong: {'x' * 99}"

    assert found_in([hide(text, [CANARY], most)], [CANARY]) == []
    assert len(hide(text, [CANARY], most)) <= most + len("[redacted]")


def test_words_that_are_no_secret_stay() -> None:
    """Schemes and names say what is wrong."""
    signed = "AWS4-HMAC-SHA256 Credential=AKIA0123/us, SignedHeaders=host, Signature=0123456789ab"
    said = "Bearer expected, Signature expired; not 0123456789ab"

    hidden = hide(said, [*header_secrets(signed), *header_secrets(f"Bearer {CANARY}")])

    assert hidden == "Bearer expected, Signature expired; not [redacted]"


@pytest.mark.parametrize("short", ["", "a", "abcde"])
def test_what_is_too_short_to_be_a_secret_stays(short: str) -> None:
    """It would stand in every other word."""
    assert hide("abcdefgh", [short]) == "abcdefgh"


def test_a_secret_of_six_characters_is_one() -> None:
    """The shortest that is looked for."""
    assert hide("abcdefgh", ["bcdefg"]) == "a[redacted]h"


def test_the_header_of_a_user_gives_the_password_away() -> None:
    """A service decodes it, and may quote what it finds."""
    encoded = "dXNlcjpwYXNzLXdvcmQ="
    found = {*header_secrets(f"Basic {encoded}")}

    assert found - {""} == {f"Basic {encoded}", encoded, "user:pass-word", "user", "pass-word"}


@pytest.mark.parametrize(
    ("value", "secrets"),
    [("Basic !", {"Basic !", "!"}), ("Basic /w==", {"Basic /w==", "/w==", "="})],
    ids=["no base64", "no text"],
)
def test_the_header_of_a_user_that_cannot_be_decoded_is_secret(
    value: str, secrets: set[str]
) -> None:
    """As any other is, and is no failure."""
    assert {*header_secrets(value)} - {""} == secrets


@pytest.mark.parametrize(
    "value",
    ["a=b;session=secret-1", "a=b; session=secret-1", 'Digest response="secret-1"', "s=secret-1"],
)
def test_what_a_header_names_is_secret(value: str) -> None:
    """However its parts are set apart."""
    assert "secret-1" in header_secrets(value)


def test_the_longer_secret_goes_first() -> None:
    """Else the rest of it would stay."""
    assert hide("secret-and-more", ["secret", "secret-and-more"]) == "[redacted]"


@pytest.mark.parametrize("padding", [0, 400, 2**16 - 20])
@pytest.mark.parametrize("status", [200, 400])
def test_no_piece_of_a_long_key_is_left_in_an_error(status: int, padding: int) -> None:
    """Wherever its reply is cut: in the message, or in what is kept of the body."""
    key = "sk-" + "".join(f"{at:04x}" for at in range(400))
    body = json.dumps({"x": " " * padding + key + " " * 99})
    service = httpx.MockTransport(lambda _: httpx.Response(status, text=body))
    reranker = Reranker("cohere/m", api_key=key, http_client=service, max_retries=0)
    with pytest.raises(RerankError) as caught:
        reranker.rerank("q", ["a"])

    assert caught.value.response is not None
    shown = f"{caught.value}{caught.value.response.text}"
    assert not [at for at in range(0, len(key) - 8, 4) if key[at : at + 8] in shown]


def test_secrets_that_overlap_are_hidden_together() -> None:
    """No end of either stays."""
    secrets = ["abcdefghijkl", "ijklmnopqrst"]

    assert hide("is abcdefghijklmnopqrst wrong", secrets) == "is [redacted] wrong"


@pytest.mark.parametrize("length", [600, 1500, 5000])
def test_what_stands_before_a_long_secret_stays(length: int) -> None:
    """A token may be longer than what is shown of a text."""
    token = "eyJ" + "aB3dE5gH7j" * (length // 10)
    text = hide(f"The token {token} may not use this project", [token], 500)

    assert text.startswith("The token [redact")
    assert found_in([text], [token]) == []


@pytest.mark.parametrize(
    ("said", "secret", "hidden"),
    [
        ("héllo ключ-секрет, é", "ключ-секрет", "héllo [redacted], é"),
        (json.dumps("ключ-секрет 🔑"), "ключ-секрет 🔑", '"[redacted]"'),
        ("two+words+long", "two words long", "[redacted]"),
        ("it's%2B(me)!", "it's+(me)!", "[redacted]"),
        ("half %2", "half a secret", "half %2"),
        ("a lone \ud800 and secret-1", "secret-1", "a lone \ud800 and [redacted]"),
        ("&lt;b&gt; &nbsp;&bogus; 50%", "secret-1", "&lt;b&gt; &nbsp;&bogus; 50%"),
        ("secret-1secret-1 secret-1", "secret-1", "[redacted][redacted] [redacted]"),
    ],
)
def test_the_rest_of_a_text_stays_as_it_is(said: str, secret: str, hidden: str) -> None:
    """However the secret is escaped, and whatever else is."""
    assert hide(said, [secret]) == hidden


def test_a_url_keeps_its_version() -> None:
    """Its other values, and who asks, may be keys."""
    found = url_secrets("https://us%2Fer:pass%2Fword@h.test/v1?api-version=2024-05-01&code=c0de")

    assert {"us/er", "pass/word", "us%2Fer:pass%2Fword", "c0de"} <= {*found}
    assert "2024-05-01" not in found
    assert "signed-c0de" in url_secrets("https://h.test/v1?sig_version=signed-c0de")
    assert list(filter(None, url_secrets("https://[::1") + url_secrets(None))) == []


def test_what_is_called_a_secret_is_one() -> None:
    """At any depth, in JSON too; an address is none."""
    value = {"type": "x", "token_uri": "https://t.test", "in": [{"private_key": "a1\nb2", "n": 1}]}

    assert {*named_secrets(value)} >= {"a1\nb2", "b2"}
    assert {"https://t.test", "x"} & {*named_secrets(value)} == set()
    below = {"api_keys": [CANARY], "auth": {"value": {"of": "below-auth"}}}
    assert {*named_secrets(below)} >= {CANARY, "below-auth"}
    assert CANARY in secrets_in(json.dumps({"client_secret": CANARY}))
    assert list(secrets_in(object())) == []
