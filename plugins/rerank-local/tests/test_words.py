"""The words that `local/bm25` counts, in every script, and what it says where it finds none."""

from __future__ import annotations

import tracemalloc
import unicodedata
from typing import Any

import bm25s
import pytest

from rerank_core import RerankResponse, rerank


def ask(query: str, documents: list[str], **params: Any) -> RerankResponse:
    """A ranking by words."""
    return rerank("local/bm25", query, documents, **params)


@pytest.mark.parametrize(
    ("query", "documents"),
    [
        ("iPhone 8", ["iPhone 7 review", "iPhone 8 review"]),
        ("python 3 vs 2", ["python 4 vs 5", "python 3 vs 2"]),
        ("vitamin C", ["vitamin D", "vitamin C"]),
        ("C++", ["a guide to C#", "a guide to C++"]),
        ("C++", ["a guide to C#", "a guide to C\u00ad++"]),
        ("F# für Anfänger", ["für Anfänger: F", "für Anfänger: F#"]),
        ("हिन्दी", ["अंग्रेज़ी", "हिन्दी"]),
        ("தமிழ்", ["நன்றி", "தமிழ்"]),
        (unicodedata.normalize("NFC", "café"), ["tea", unicodedata.normalize("NFD", "a café")]),
        (unicodedata.normalize("NFD", "Ångström"), ["tea", "ångström"]),
        ("ABC123", ["DEF456", "\uff21\uff22\uff23\uff11\uff12\uff13"]),
        ("x²", ["x3", "x2"]),
        ("STRASSE", ["Gasse", "straße"]),
        ("istanbul", ["Ankara", "İstanbul"]),
        ("co\u00adoperate", ["operate", "cooperate"]),
        ("北京", ["上海", "北京"]),
        ("北京", ["南京在东北", "他在北京工作"]),
        ("手机 8", ["新手机7", "新手机8"]),
        ("東京タワー", ["京都駅", "東京タワーの高さ"]),
        ("ｶﾒﾗ", ["テレビ", "カメラ"]),
        ("ภาษาไทย", ["อังกฤษ", "เรียนภาษาไทยง่าย"]),
        ("ភាសាខ្មែរ", ["អង់គ្លេស", "រៀនភាសាខ្មែរ"]),
        ("ພາສາລາວ", ["ອັງກິດ", "ຮຽນພາສາລາວ"]),
        ("မြန်မာ", ["ထိုင်း", "မြန်မာစာ"]),
        ("བོད་ཡིག", ["རྒྱ་ནག", "བོད་ཡིག"]),
        ("🍕", ["🍣 bar", "a 🍕 place"]),
        ("서울", ["부산", "서울"]),
        ("l\u2019été", ["hiver", "un été"]),
    ],
)
@pytest.mark.parametrize("language", ["english", "none"])
def test_the_document_with_the_words_comes_first(
    query: str, documents: list[str], language: str
) -> None:
    """Whatever it is written in, and however it is encoded."""
    response = ask(query, documents, language=language)

    assert [result.index for result in response.results] == [1, 0]
    assert response.results[0].relevance_score != 0
    assert not response.warnings


@pytest.mark.parametrize("language", ["english", "turkish", "none"])
@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("\u0131ş\u0131k", "IŞIK"),
        ("ISPARTA", "\u0131sparta"),
        ("istanbul", "ISTANBUL"),
        ("INSTAGRAM", "instagram"),
    ],
)
def test_a_letter_i_is_one_with_a_dot_and_without(query: str, document: str, language: str) -> None:
    """Both have a capital, and of "I" in a name of another language it is not known which it is."""
    response = ask(query, ["Ankara", document], language=language)

    assert response.results[0].index == 1
    assert not response.warnings


def test_turkish_endings_are_left_out_of_capitals_too() -> None:
    """They follow the vowels before them, so that the letter without a dot must be told."""
    response = ask("k\u0131z", ["çocuk", "KIZLAR"], language="turkish", stem=True)

    assert response.results[0].index == 1
    assert not response.warnings


def test_an_apostrophe_makes_no_word_of_one_letter() -> None:
    """What it leaves over says nothing; a letter that stands alone is a word."""
    response = ask("dog's", ["a cat's tail", "it's late", "the letter s", "a dog"])

    assert response.results[0].index == 3
    assert [result.relevance_score for result in response.results][1:] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("query", ["zebra", "?!", "the", "上海"])
def test_a_query_without_a_word_in_common_is_said(query: str) -> None:
    """The order is the caller's, and no ranking."""
    response = ask(query, ["the red fox", "北京"])

    assert [result.index for result in response.results] == [0, 1]
    assert len(response.warnings) == 1
    assert "no document has a word of the query, stop words apart" in response.warnings[0]


def test_a_word_of_one_character_that_is_not_asked_for_changes_nothing() -> None:
    """Neither do initials and numbers make a document longer: scores are those of bm25s."""
    documents = [
        "## the flow at m 5 and x# 2 over a plate",
        "wing flow",
        "j s bach played the organ",
    ]
    tokens = bm25s.tokenize(documents, show_progress=False)
    index = bm25s.BM25(method="lucene")
    index.index(tokens, show_progress=False)
    (words,) = bm25s.tokenize(["wing flow"], return_ids=False, show_progress=False)

    found = {r.index: r.relevance_score for r in ask("wing flow", documents, stem=False).results}

    assert [found[at] for at in range(3)] == index.get_scores(words).tolist()


def test_long_work_is_done_in_steps() -> None:
    """So that it can be given up."""
    from rerank_local._bm25 import bm25_steps  # noqa: PLC0415 - the generator itself

    steps = [*bm25_steps("cat", ["a cat and a dog " * 2000] * 40)]

    assert len(steps) > 5


def test_a_long_text_without_spaces_is_found_in_little_memory() -> None:
    """The run is found by itself, without a note for each of its characters."""
    from rerank_local import _words  # noqa: PLC0415 - where the memory went

    text = "北京大学" * 50_000
    words, _, _ = _words._compile()  # noqa: SLF001 - likewise
    tracemalloc.start()
    found = [match.span() for match in words.finditer(text)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == [(0, len(text))]
    assert peak < len(text)
