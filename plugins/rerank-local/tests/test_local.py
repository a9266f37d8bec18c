"""`local/bm25`: the same scores as bm25s used directly, without key or network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import bm25s
import pytest

import rerank_local
from rerank_core import (
    ConfigurationError,
    InvalidRequestError,
    Reranker,
    RerankResponse,
    UnsupportedParamError,
    arerank,
    list_providers,
    rerank,
)
from rerank_core.testing import Case, Check, Example, Ranking, conformance

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTS = [
    "The cat sat on the mat and purred.",
    "Dogs bark at strangers, and at the postman most of all.",
    "A cat may look at a king.",
    "The king of France is bald, said the philosopher to the king.",
    "It is raining cats and dogs.",
    "Purring is how a content cat speaks; a purring cat is a happy cat.",
    "",
    "The postman always rings twice.",
]
QUERIES = [
    "the cat and the king",
    "purring cats",
    "who rings twice",
    "France",
    "dogs dogs dogs",
    "zebra",
]


def encode(ranking: Ranking, documents: Sequence[str], top_n: int | None) -> Any:
    """List the scores in the order of the documents."""
    del documents, top_n
    return {"scores": [score for _, score in sorted(ranking)]}


CASE = Case(
    plugin=rerank_local,
    model="bm25",
    positional=True,
    params={"k1": 1.2, "b": 0.5, "language": "german", "stem": False},
    encode=encode,
    example=Example(
        call={"query": "a cat", "documents": ["a dog", "a cat"]},
        reply={"scores": [0.0, 0.277259]},
        ranking=[(1, 0.277259), (0, 0.0)],
    ),
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The plugin keeps what every plugin must."""
    check()


def scores_of(response: RerankResponse) -> list[float | None]:
    """The scores in the caller's order."""
    scores = {result.index: result.relevance_score for result in response.results}
    return [scores[index] for index in sorted(scores)]


def indices_of(response: RerankResponse) -> list[int]:
    """The ranking."""
    return [result.index for result in response.results]


def score(query: str, documents: Sequence[Any], **params: Any) -> list[float | None]:
    """The scores in the caller's order."""
    return scores_of(rerank("local/bm25", query, documents, **params))


def score_directly(query: str, *, k1: float, b: float, stopwords: Any, stemmer: Any) -> list[float]:
    """What bm25s says of the documents by itself."""

    def tokenize(texts: list[str], **options: Any) -> Any:
        return bm25s.tokenize(
            texts, stopwords=stopwords, stemmer=stemmer, show_progress=False, **options
        )

    index = bm25s.BM25(k1=k1, b=b, method="lucene")
    index.index(tokenize(DOCUMENTS), show_progress=False)
    (words,) = tokenize([query], return_ids=False)
    scores: list[float] = index.get_scores(words).tolist()
    return scores


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "params",
    [{}, {"k1": 0.9, "b": 0.4}, {"b": 0}, {"k1": 0}, {"language": "german"}, {"language": "none"}],
    ids=str,
)
@pytest.mark.parametrize("stemmed", [True, False])
def test_scores_are_those_of_bm25s(
    monkeypatch: pytest.MonkeyPatch, query: str, params: dict[str, Any], *, stemmed: bool
) -> None:
    """With the same tokens, bit for bit."""
    stemmer = None
    language = params.get("language", "english")
    if stemmed and language != "none":
        stemmer = pytest.importorskip("Stemmer").Stemmer(language)
    elif not stemmed:
        monkeypatch.setitem(sys.modules, "Stemmer", None)

    expected = score_directly(
        query,
        k1=params.get("k1", 1.5),
        b=params.get("b", 0.75),
        stopwords=None if language == "none" else language,
        stemmer=stemmer,
    )

    assert score(query, DOCUMENTS, **params) == expected


def test_both_functions_give_the_same_ranking() -> None:
    """`arerank` computes in a worker thread."""

    async def ask() -> RerankResponse:
        return await arerank("local/bm25", "the cat and the king", DOCUMENTS)

    blocking = rerank("local/bm25", "the cat and the king", DOCUMENTS)
    awaited = anyio.run(ask)

    assert awaited.results == blocking.results
    assert indices_of(blocking)[0] == 2


@pytest.mark.parametrize("query", ["zebra", "the of and", "?!"])
def test_without_a_shared_word_all_scores_are_zero(query: str) -> None:
    """And the caller's order stays."""
    response = rerank("local/bm25", query, DOCUMENTS)

    assert indices_of(response) == list(range(len(DOCUMENTS)))
    assert set(scores_of(response)) == {0.0}
    assert response.reranked


@pytest.mark.parametrize(
    "documents",
    [["", "  ", "\n"], ["the", "of the", "and"], ["?!", "..."], ["", "the"]],
    ids=["blank", "stop words", "no words", "both"],
)
def test_documents_without_words_score_zero(documents: list[str]) -> None:
    """Where no document has one, there is no mean length to divide by."""
    response = rerank("local/bm25", "cat", documents)

    assert indices_of(response) == list(range(len(documents)))
    assert set(scores_of(response)) == {0.0}


def test_a_blank_document_scores_zero_among_others() -> None:
    """It is ranked like any other that shares no word."""
    response = rerank("local/bm25", "cat", ["", "a cat", "a dog"])

    assert indices_of(response) == [1, 0, 2]
    assert scores_of(response)[0] == scores_of(response)[2] == 0.0


def test_one_document_is_scored() -> None:
    """A word that all documents have still counts: Lucene's idf is never negative."""
    (value,) = score("cat", ["a cat"])

    assert value is not None
    assert value > 0


def test_no_documents_are_an_empty_ranking() -> None:
    """Nothing is computed."""
    assert rerank("local/bm25", "cat", []).results == []


def test_duplicates_score_alike_and_keep_their_order() -> None:
    """Equal scores stay in the caller's order."""
    response = rerank("local/bm25", "cat", ["a dog", "a cat", "a bird", "a cat", "a cat"])

    assert indices_of(response) == [1, 3, 4, 0, 2]
    assert len(set(scores_of(response))) == 2


@pytest.mark.parametrize("name", ["k1", "b"])
@pytest.mark.parametrize(
    "value",
    [-0.1, float("nan"), float("inf"), 10**400, True, "1.5", [1.5]],
    ids=lambda value: repr(value)[:9],
)
def test_a_number_out_of_its_range_is_refused(name: str, value: object) -> None:
    """By its name, before anything is computed."""
    with pytest.raises(InvalidRequestError, match=f"{name} must be a number from 0"):
        score("cat", DOCUMENTS, **{name: value})


@pytest.mark.parametrize("value", ["x", 1, 0])
def test_stem_is_true_or_false(value: object) -> None:
    """Nothing else is taken for either."""
    with pytest.raises(InvalidRequestError, match=f"stem must be True or False, not {value!r}"):
        score("cat", DOCUMENTS, stem=value)


def test_b_is_at_most_one() -> None:
    """It is a share."""
    assert score("cat", DOCUMENTS, b=1)
    with pytest.raises(InvalidRequestError, match=r"b must be a number from 0 to 1, not 1\.1"):
        score("cat", DOCUMENTS, b=1.1)


@pytest.mark.parametrize("language", ["klingon", "", "English", 5, ["the"], False], ids=repr)
def test_an_unknown_language_is_refused(language: object) -> None:
    """With its name."""
    with pytest.raises(InvalidRequestError, match="language"):
        score("cat", DOCUMENTS, language=language)


def test_a_language_in_capitals_is_told_how_to_be_written() -> None:
    """Rather than asked for a list of stop words, which is not possible here."""
    with pytest.raises(InvalidRequestError, match="'English' is not known: it is a name in small"):
        score("cat", DOCUMENTS, language="English")


def test_no_language_leaves_every_word_as_it_is() -> None:
    """Stop words count, and endings make other words."""
    documents = ["the mat", "a cat", "cats"]

    assert score("the", documents, language="none")[0] != 0.0
    assert score("the", documents) == [0.0, 0.0, 0.0]
    assert score("cats", documents, language="none")[1] == 0.0


def test_with_the_stemmer_a_plural_matches_its_singular() -> None:
    """With the extra `stemmer` installed."""
    pytest.importorskip("Stemmer")

    scores = score("cats", ["a cat", "a dog"])

    assert scores[0] != 0.0
    assert scores[1] == 0.0


def test_without_the_stemmer_only_the_same_form_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing fails for its absence."""
    monkeypatch.setitem(sys.modules, "Stemmer", None)

    scores = score("cats", ["a cat", "two cats"])

    assert scores[0] == 0.0
    assert scores[1] != 0.0


def test_the_stemmer_can_be_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """`stem=False` is the same as not having it."""
    left_aside = score("purring cats", DOCUMENTS, stem=False)
    monkeypatch.setitem(sys.modules, "Stemmer", None)

    assert left_aside == score("purring cats", DOCUMENTS)


def test_the_stemmer_can_be_insisted_on() -> None:
    """`stem=True` is the same as having it."""
    pytest.importorskip("Stemmer")

    assert score("purring cats", DOCUMENTS, stem=True) == score("purring cats", DOCUMENTS)


def test_a_stemmer_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was insisted on, with how to install it."""
    monkeypatch.setitem(sys.modules, "Stemmer", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'rerank-local\[stemmer\]'"):
        score("cats", DOCUMENTS, stem=True)


def test_a_language_that_cannot_be_stemmed_is_refused_where_it_was_insisted_on() -> None:
    """Rather than ranked otherwise than asked for."""
    pytest.importorskip("Stemmer")

    with pytest.raises(InvalidRequestError, match="no stemmer for the language 'korean'"):
        score("cats", DOCUMENTS, stem=True, language="korean")


def test_a_language_without_a_stemmer_has_its_stop_words() -> None:
    """Korean, for one."""
    assert score("cat", ["a cat", "a dog"], language="korean")[0] != 0.0


@pytest.mark.parametrize("model", ["bm25", "minilm", "hybrid"])
def test_text_that_was_decoded_wrongly_is_refused(model: str) -> None:
    """By its document, whatever would come of it."""
    with pytest.raises(InvalidRequestError, match=r"documents\[1\] has a lone surrogate at pos"):
        rerank(f"local/{model}", "cat", ["a cat", "a \udcff cat"])


def test_mappings_are_scored_by_their_text() -> None:
    """All fields, or those of rank_fields; the caller's own mapping comes back."""
    documents: list[Any] = [
        {"title": "cats", "text": "about animals"},
        {"title": "dogs", "text": "about a cat"},
        "a bird",
    ]

    response = rerank("local/bm25", "cat", documents)
    by_title = score("cats", documents, rank_fields=["title"])

    assert sorted(indices_of(response)[:2]) == [0, 1]
    assert response.results[0].document is not None
    assert response.results[0].document.fields is documents[response.results[0].index]
    assert by_title[0] != 0.0
    assert by_title[1:] == [0.0, 0.0]


def test_the_best_are_kept() -> None:
    """By core: the scores are the same as without `top_n`."""
    whole = rerank("local/bm25", "cat king", DOCUMENTS)
    cut = rerank("local/bm25", "cat king", DOCUMENTS, top_n=2)

    assert cut.results == whole.results[:2]


def test_an_unknown_model_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(ConfigurationError, match="local has no model 'bm26'; it has: bm25, minilm"):
        Reranker("local/bm26")


def test_an_unknown_parameter_is_refused() -> None:
    """With the nearest that there is."""
    with pytest.raises(UnsupportedParamError, match="'langauge'; did you mean 'language'"):
        score("cat", DOCUMENTS, langauge="german")


def test_no_network_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket is opened, no name looked up."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)

    with Reranker("local/bm25") as reranker:
        response = reranker.rerank("cat", DOCUMENTS)

    assert indices_of(response)[0] in {0, 2, 5}


def run_fresh(code: str) -> Any:
    """What a fresh interpreter prints as JSON."""
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - our own code
    return json.loads(output)


def test_importing_the_plugin_imports_neither_bm25s_nor_numpy() -> None:
    """Nor does the listing, or making a `Reranker`."""
    code = """
import json, sys
import rerank_core, rerank_local
rerank_core.list_providers()
rerank_core.Reranker("local/bm25")
heavy = ("bm25s", "numpy", "onnxruntime", "tokenizers", "Stemmer", "regex", "click", "torch")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""

    assert run_fresh(code) == []


def test_scoring_imports_nothing_but_bm25s_and_numpy() -> None:
    """And the stemmer, where it is installed."""
    code = """
import json, sys
sys.modules["scipy"] = None  # which bm25s takes where it is installed
from rerank_local._bm25 import bm25_steps
before = set(sys.modules)
[*bm25_steps("cat", ["a cat"])]
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(new - set(sys.stdlib_module_names))))
"""

    new = set(run_fresh(code))

    assert {"bm25s", "numpy"} <= new
    # Cython's own modules come with PyStemmer; bm25s takes tqdm where it is installed.
    named = {name for name in new if "cython" not in name and name != "__mp_main__"}
    assert named <= {"bm25s", "numpy", "Stemmer", "orjson", "tqdm"}


def test_scoring_fills_nobody_s_log() -> None:
    """bm25s sets its own logger to DEBUG, which is undone."""
    code = """
import io, json, logging
stream = io.StringIO()
logging.basicConfig(stream=stream, level=logging.INFO)
import rerank_core
rerank_core.rerank("local/bm25", "cat", ["a cat"])
print(json.dumps(stream.getvalue()))
"""

    assert run_fresh(code) == ""


def test_scoring_leaves_no_thread_behind() -> None:
    """As tqdm's bars would, which bm25s makes whether they are shown or not."""
    code = """
import json, threading, tqdm
import rerank_core
rerank_core.rerank("local/bm25", "cat", ["a cat"])
left = len(threading.enumerate())
[*tqdm.tqdm([1], disable=True)]
print(json.dumps([left, len(threading.enumerate())]))
"""
    pytest.importorskip("tqdm")

    assert run_fresh(code) == [1, 2]


def test_what_the_listing_says() -> None:
    """No key, no price, and scores that depend on the other documents."""
    (listed,) = (listed for listed in list_providers() if listed.name == "local")

    assert listed.error is None
    assert listed.facts is not None
    assert listed.facts.listwise
    assert not listed.facts.api_key_required
    assert listed.facts.models == ("bm25", "minilm", "hybrid", "onnx")
