"""Scaleway's rerank API as its documentation and its replies have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rerank_scaleway
from failures import Failure, failing
from rerank_core import (
    AuthenticationError,
    BilledUnits,
    Meta,
    NotFoundError,
    PermissionDeniedError,
    Tokens,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import Difference, asking, by, captures, without_variables

KEY = "01234567-89ab-cdef-0123-456789abcdef"
QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
REPLY = {
    "id": "rerank-a89e6d7b8b97492ea81569c65fbfff49",
    "model": "qwen3-embedding-8b",
    "usage": {"total_tokens": 99},
    "results": [
        {
            "index": 1,
            "document": {"text": "Paris is the capital of France.", "multi_modal": None},
            "relevance_score": 0.6456,
        },
        {
            "index": 0,
            "document": {"text": "Berlin is in Germany.", "multi_modal": None},
            "relevance_score": 0.6060,
        },
    ],
}

CASE = Case(
    plugin=rerank_scaleway,
    model="qwen3-embedding-8b",
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url="https://api.scaleway.ai/v1/rerank",
        json={
            "model": "qwen3-embedding-8b",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
        },
        reply=REPLY,
        ranking=[(1, 0.6456), (0, 0.6060)],
        id="rerank-a89e6d7b8b97492ea81569c65fbfff49",
        meta=Meta(billed_units=BilledUnits(total_tokens=99), tokens=Tokens(input_tokens=99)),
    ),
    required=["top_n"],
    encode=lambda ranking, documents, _: {
        "results": [
            {
                "index": at,
                "document": {"text": documents[0], "multi_modal": None},
                "relevance_score": score,
            }
            for at, score in ranking
        ],
        "usage": {"total_tokens": 99},
    },
)

ask = asking("scaleway/qwen3-embedding-8b", api_key=KEY, query=QUERY, documents=DOCUMENTS)
bare_environment = without_variables(of="scaleway")

# The captured call in this project's words, beside query, documents and model.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "scaleway-litellm-min": {"documents": [*DOCUMENTS, "Madrid is in Spain."], "top_n": 2},
    "scaleway-litellm-returndocs": {
        "documents": [{"text": text} for text in DOCUMENTS],
        "top_n": 2,
        "return_documents": True,
        "max_tokens_per_doc": 10,
        "drop_params": True,
    },
}
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "json.documents",
        DOCUMENTS,
        "the service takes only strings: a mapping with only a text is that text",
        ("scaleway-litellm-returndocs",),
    ),
)


def recent(message: str, code: int) -> dict[str, Any]:
    """The envelope of recent models."""
    return {"error": {"message": message, "type": "Error", "param": None, "code": code}}


def legacy(message: str, code: int) -> dict[str, Any]:
    """The envelope of older models."""
    return {"object": "error", "message": message, "type": "Error", "param": None, "code": code}


BAD_KEY = ("no such key", "if the secret key is the right one", "IAM policy")
BAD_MODEL = ("no such model", "GET /v1/models")
ERRORS = [
    Failure(400, recent("odd", 400), "odd"),
    Failure(400, legacy("odd", 400), "odd"),
    Failure(401, recent("no header", 401), "no header"),
    # A bad key is not answered with 401, and a bad model not with 404.
    Failure(403, recent("no such key", 403), BAD_KEY, kind=AuthenticationError),
    Failure(403, {"error": "no such key", "status": 403}, BAD_KEY, kind=AuthenticationError),
    Failure(422, recent("no such model", 422), BAD_MODEL, kind=NotFoundError),
    Failure(422, legacy("no such model", 422), BAD_MODEL, kind=NotFoundError),
    Failure(403, recent("key 'x' not found", 403), BAD_KEY[1:], kind=AuthenticationError),
    # What the service says counts more than its status.
    Failure(403, recent("insufficient permissions", 403), BAD_KEY[1:], kind=PermissionDeniedError),
    Failure(403, recent("Permission denied", 403), BAD_KEY[1:], kind=PermissionDeniedError),
    Failure(404, "404 page not found", "404 page not found"),
    Failure(429, recent("quota", 429), "quota"),
    Failure(500, legacy("oops", 500), "oops"),
    Failure(502, "<html>Bad gateway</html>", "Bad gateway"),
]


# --- What every plugin must keep --------------------------------------------------------------


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


# --- What others were seen to send ------------------------------------------------------------


test_what_others_send_is_sent = captures("scaleway", CALLS, DIFFERENCES, by(ask))


# --- What comes back --------------------------------------------------------------------------


test_an_error_says_what_to_do = failing(ask, "scaleway/qwen3-embedding-8b", ERRORS)
