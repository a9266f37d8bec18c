"""The same call by an official SDK and by this project: what goes out, and what is read."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from recorder import Recorded, Reply, recording
from rerank_core import RerankResponse, arerank, rerank

from .call_sdk import KEY
from .conftest import call_sdk

if TYPE_CHECKING:
    from pathlib import Path

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MAPPINGS = [
    {"title": "Berlin", "text": "Berlin is in Germany."},
    {"title": "Paris", "text": "Paris is the capital of France."},
]
ASKED = {"query": QUERY, "documents": DOCUMENTS}
SCORES = [(1, 0.875), (0, 0.25)]
PROJECT = "11111111-2222-3333-4444-555555555555"
RANKING_CONFIG = "projects/my-project/locations/global/rankingConfigs/default_ranking_config"
ARN = "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0"
AWS = {
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": KEY,
    "aws_region_name": "us-west-2",
}
GOOGLE = {"access_token": KEY, "vertex_project": "my-project"}
IBM = {"token": KEY, "project_id": PROJECT}
PEM = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)
ORACLE = {
    "oci_user": "ocid1.user.oc1..aaaaaaaaexample",
    "oci_tenancy": "ocid1.tenancy.oc1..aaaaaaaaexample",
    "oci_fingerprint": "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34",
    "oci_key": PEM,
    "oci_compartment_id": "ocid1.compartment.oc1..aaaaaaaaexample",
}
VOLC = {"volcengine_access_key": "AKLTEXAMPLE", "volcengine_secret_key": KEY}
# Variables by which an account of this machine could take part.
VARIABLES = (
    *(
        "AWS_",
        "BEDROCK_",
        "CO_",
        "COHERE_",
        "DISCOVERYENGINE_",
        "ELASTIC",
        "GOOGLE_",
        "OCI_",
        "PINECONE_",
        "PROJECT_ID",
        "SPACE_ID",
    ),
    *("SAGEMAKER_", "VOLC", "TOGETHER", "VERTEXAI_", "VOYAGE_", "WATSONX_", "WML_", "WX_"),
    *("CONTEXTUAL_", "ISAACUS_", "MIXEDBREAD_", "MXBAI_", "OPENROUTER_", "XINFERENCE_"),
)
COMPARED = (
    "api-key",
    "content-type",
    "x-amzn-sagemaker-inference-component",
    "x-pinecone-api-version",
)
NOTHING = object()


@frozen(kw_only=True)
class Pair:
    """One call, in the words of an SDK and in ours.

    Attributes:
        sdk: Which function of `call_sdk.py` makes it.
        theirs: What the SDK is given.
        ours: What we are given, beside the base URL.
        reply: What the service answers to both.
    """

    sdk: str
    theirs: Mapping[str, Any]
    ours: Mapping[str, Any]
    reply: Any


@frozen
class Difference:
    """One thing that this project sends otherwise, on purpose.

    Attributes:
        where: `query`, a header, or a field of the body: `headers.accept`, `json.top_k`.
        ours: What is sent instead; `NOTHING` where it is left out.
        reason: Why.
        pairs: The calls it holds for.
    """

    where: str
    ours: Any
    reason: str
    pairs: tuple[str, ...]


def rows(index: str = "index", score: str = "relevance_score") -> list[dict[str, Any]]:
    """The ranking as a service writes it."""
    return [{index: at, score: value} for at, value in SCORES]


def pair_of_bedrock(documents: list[Any], sources: list[Any]) -> Pair:
    """The Rerank operation, of which the SDK wants the whole envelope."""
    return Pair(
        sdk="bedrock",
        theirs={
            "queries": [{"type": "TEXT", "textQuery": {"text": QUERY}}],
            "sources": [{"type": "INLINE", "inlineDocumentSource": source} for source in sources],
            "rerankingConfiguration": {
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {
                    "numberOfResults": 2,
                    "modelConfiguration": {"modelArn": ARN},
                },
            },
        },
        ours={"model": "bedrock/amazon.rerank-v1:0", "query": QUERY, "documents": documents, **AWS},
        reply={"results": rows(score="relevanceScore")},
    )


COHERE_REPLY = {"id": "made-up", "results": rows(), "meta": {"billed_units": {"search_units": 1}}}
VOYAGE_REPLY = {"object": "list", "data": rows(), "model": "m", "usage": {"total_tokens": 9}}
TOGETHER_REPLY = {"object": "rerank", "model": "m", "results": rows(), "usage": None}
GOOGLE_REPLY = {"records": [{"id": str(at), "score": score} for at, score in SCORES]}
MIXEDBREAD_REPLY = {
    "object": "list",
    "model": "mixedbread-ai/mxbai-rerank-large-v2",
    "data": [{**row, "input": None, "object": "rank_result"} for row in rows(score="score")],
    "usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9},
    "top_k": 2,
    "return_input": False,
}
OPENROUTER_REPLY = {
    "id": "gen-rerank-1",
    "model": "cohere/rerank-v3.5",
    "provider": "Cohere",
    "results": [{**row, "document": {"text": DOCUMENTS[row["index"]]}} for row in rows()],
    "usage": {"search_units": 1, "cost": 0.001},
}
ISAACUS_REPLY = {"results": rows(score="score"), "usage": {"input_tokens": 9}}
XINFERENCE_REPLY = {"id": "r", "results": rows(), "meta": {"tokens": None}}
ROUTING = {"order": ["Cohere"], "allow_fallbacks": False}
CHUNKS = {"size": 512, "overlap_ratio": 0.1}
PINECONE_REPLY = {"model": "m", "data": rows(score="score"), "usage": {"rerank_units": 1}}
IBM_REPLY = {"model_id": "m", "results": rows(score="score"), "input_token_count": 9}

BY_FIELDS: dict[str, Any] = {"documents": MAPPINGS, "rank_fields": ["title", "text"], "top_n": 2}


def alike(
    sdk: str,
    reply: Any,
    model: str,
    *,
    theirs: Mapping[str, Any] = {},
    ours: Mapping[str, Any] = {},
    called: str = "documents",
    **both: Any,
) -> Pair:
    """A call that is written alike but for a few words, and for the provider before the model.

    Args:
        sdk: Which function of `call_sdk.py` makes it.
        reply: What the service answers to both.
        model: As the SDK names it.
        theirs: What only the SDK is given.
        ours: What only we are given.
        called: What the SDK calls the documents.
        **both: What both are given.
    """
    asked = {**ASKED, **both}
    given = {called if name == "documents" else name: value for name, value in asked.items()}
    return Pair(
        sdk=sdk,
        theirs={"model": model, **given, **theirs},
        ours={"model": f"{sdk.partition('_')[0]}/{model}", **asked, **ours},
        reply=reply,
    )


PAIRS = {
    "cohere_v2": alike("cohere_v2", COHERE_REPLY, "rerank-v3.5"),
    "cohere_v2-all": alike(
        "cohere_v2",
        COHERE_REPLY,
        "rerank-v3.5",
        top_n=2,
        max_tokens_per_doc=512,
        priority=5,
        relevant_spans={"mode": "enabled", "threshold": 0.5, "max_spans": 3},
    ),
    "cohere_v1-all": alike(
        "cohere_v1",
        COHERE_REPLY,
        "rerank-v3.5",
        **BY_FIELDS,
        return_documents=True,
        max_chunks_per_doc=5,
    ),
    "voyage": alike("voyage", VOYAGE_REPLY, "rerank-2.5"),
    "voyage-all": alike(
        "voyage",
        VOYAGE_REPLY,
        "rerank-2.5",
        theirs={"top_k": 2},
        ours={"top_n": 2},
        truncation=False,
    ),
    "together": alike("together", TOGETHER_REPLY, "mixedbread-ai/Mxbai-Rerank-Large-V2"),
    "together-all": alike(
        "together",
        TOGETHER_REPLY,
        "Salesforce/Llama-Rank-V1",
        **BY_FIELDS,
        return_documents=True,
    ),
    "bedrock": pair_of_bedrock(
        DOCUMENTS, [{"type": "TEXT", "textDocument": {"text": text}} for text in DOCUMENTS]
    ),
    "bedrock-mappings": pair_of_bedrock(
        MAPPINGS, [{"type": "JSON", "jsonDocument": mapping} for mapping in MAPPINGS]
    ),
    "bedrock-invoke": Pair(
        sdk="bedrock",
        theirs={
            "modelId": "cohere.rerank-v3-5:0",
            "body": {**ASKED, "top_n": 2, "max_tokens_per_doc": 512, "api_version": 2},
            "contentType": "application/json",
            "accept": "application/json",
        },
        ours={
            "model": "bedrock/invoke/cohere.rerank-v3-5:0",
            **ASKED,
            "top_n": 2,
            "max_tokens_per_doc": 512,
            **AWS,
        },
        reply={"results": rows()},
    ),
    "vertex_ai": Pair(
        sdk="vertex_ai",
        theirs={
            "ranking_config": RANKING_CONFIG,
            "model": "semantic-ranker-default-004",
            "query": QUERY,
            "records": [{"id": str(at), "content": text} for at, text in enumerate(DOCUMENTS)],
        },
        ours={"model": "vertex_ai/semantic-ranker-default-004", **ASKED, **GOOGLE},
        reply=GOOGLE_REPLY,
    ),
    "vertex_ai-all": Pair(
        sdk="vertex_ai",
        theirs={
            "ranking_config": RANKING_CONFIG,
            "model": "semantic-ranker-fast-004",
            "query": QUERY,
            "records": [
                {"id": str(at), "title": mapping["title"], "content": mapping["text"]}
                for at, mapping in enumerate(MAPPINGS)
            ],
            "top_n": 2,
            "user_labels": {"team": "search"},
        },
        ours={
            "model": "vertex_ai/semantic-ranker-fast-004",
            "query": QUERY,
            "documents": MAPPINGS,
            "top_n": 2,
            "user_labels": {"team": "search"},
            **GOOGLE,
        },
        reply=GOOGLE_REPLY,
    ),
    "pinecone": alike("pinecone", PINECONE_REPLY, "bge-reranker-v2-m3"),
    "pinecone-all": alike(
        "pinecone",
        PINECONE_REPLY,
        "cohere-rerank-4-fast",
        theirs={"return_documents": False, "parameters": {"truncate": "END"}},
        ours={"truncate": "END"},
        **BY_FIELDS,
    ),
    "elastic": Pair(
        sdk="elastic",
        theirs={"inference_id": "my-rerank", "query": QUERY, "input": DOCUMENTS},
        ours={"model": "elastic/my-rerank", **ASKED},
        reply={"rerank": rows()},
    ),
    "elastic-all": Pair(
        sdk="elastic",
        theirs={
            "inference_id": ".rerank-v1-elasticsearch",
            "query": QUERY,
            "input": DOCUMENTS,
            "top_n": 2,
            "task_settings": {"top_n": 2},
            "timeout": "60s",
        },
        ours={
            "model": "elastic/.rerank-v1-elasticsearch",
            **ASKED,
            "top_n": 2,
            "task_settings": {"top_n": 2},
            "inference_timeout": "60s",
        },
        reply={"rerank": rows()},
    ),
    "sagemaker": Pair(
        sdk="sagemaker",
        theirs={
            "EndpointName": "my-endpoint",
            "InferenceComponentName": "my-model",
            "ContentType": "application/json",
            "Body": {"query": QUERY, "texts": DOCUMENTS},
        },
        ours={
            "model": "sagemaker/my-endpoint",
            **ASKED,
            "inference_component": "my-model",
            **AWS,
        },
        reply=rows(score="score"),
    ),
    "oci": Pair(
        sdk="oci",
        theirs={
            "config": {
                "user": ORACLE["oci_user"],
                "tenancy": ORACLE["oci_tenancy"],
                "fingerprint": ORACLE["oci_fingerprint"],
                "key_content": PEM,
                "region": "us-chicago-1",
            },
            "model_id": "cohere.rerank-v3.5",
            "compartment_id": ORACLE["oci_compartment_id"],
            "input": QUERY,
            "documents": DOCUMENTS,
            "top_n": 2,
            "max_chunks_per_document": 5,
            "max_tokens_per_document": 512,
        },
        ours={
            "model": "oci/cohere.rerank-v3.5",
            **ASKED,
            "top_n": 2,
            "max_chunks_per_doc": 5,
            "max_tokens_per_doc": 512,
            **ORACLE,
        },
        reply={"id": "made-up", "documentRanks": rows(score="relevanceScore")},
    ),
    "volcengine": Pair(
        sdk="volcengine",
        theirs={
            "datas": [{"query": QUERY, "content": text} for text in DOCUMENTS],
            "rerank_model": "doubao-seed-rerank",
            "rerank_instruction": "Find capitals.",
        },
        ours={
            "model": "volcengine/doubao-seed-rerank",
            **ASKED,
            "instruction": "Find capitals.",
            **VOLC,
        },
        reply={"code": 0, "data": {"scores": [0.25, 0.875], "token_usage": 9}},
    ),
    "watsonx": Pair(
        sdk="watsonx",
        theirs={"model_id": "m", "project_id": PROJECT, "query": QUERY, "inputs": DOCUMENTS},
        ours={"model": "watsonx/m", **ASKED, **IBM},
        reply=IBM_REPLY,
    ),
    "watsonx-all": Pair(
        sdk="watsonx",
        theirs={
            "model_id": "m",
            "project_id": PROJECT,
            "query": QUERY,
            "inputs": DOCUMENTS,
            "params": {
                "truncate_input_tokens": 512,
                "return_options": {"top_n": 2, "query": False, "inputs": True},
            },
        },
        ours={
            "model": "watsonx/m",
            **ASKED,
            "top_n": 2,
            "max_tokens_per_doc": 512,
            "return_query": False,
            **IBM,
        },
        reply=IBM_REPLY,
    ),
    "mixedbread": Pair(
        sdk="mixedbread",
        theirs={
            "model": "mixedbread-ai/mxbai-rerank-large-v2",
            "query": QUERY,
            "input": DOCUMENTS,
        },
        ours={"model": "mixedbread/mxbai-rerank-large-v2", **ASKED},
        reply=MIXEDBREAD_REPLY,
    ),
    "mixedbread-all": Pair(
        sdk="mixedbread",
        theirs={
            "model": "mixedbread-ai/mxbai-rerank-large-v2",
            "query": QUERY,
            "input": MAPPINGS,
            "rank_fields": ["title", "text"],
            "top_k": 2,
            "return_input": True,
            "rewrite_query": True,
        },
        ours={
            "model": "mixedbread/mixedbread-ai/mxbai-rerank-large-v2",
            "query": QUERY,
            "documents": MAPPINGS,
            "rank_fields": ["title", "text"],
            "top_n": 2,
            "rewrite_query": True,
        },
        reply=MIXEDBREAD_REPLY,
    ),
    "openrouter": alike("openrouter", OPENROUTER_REPLY, "cohere/rerank-v3.5"),
    "openrouter-all": alike(
        "openrouter",
        OPENROUTER_REPLY,
        "cohere/rerank-v3.5",
        theirs={"provider": ROUTING},
        ours={"provider_preferences": ROUTING},
        top_n=2,
        user="u1",
        session_id="s1",
    ),
    "contextual": alike("contextual", {"results": rows()}, "ctxl-rerank-v1-instruct"),
    "contextual-all": alike(
        "contextual",
        {"results": rows()},
        "ctxl-rerank-v1-instruct",
        top_n=2,
        instruction="Prefer official sources.",
        metadata=["src: a", ""],
    ),
    "isaacus": alike("isaacus", ISAACUS_REPLY, "kanon-2-reranker", called="texts"),
    "isaacus-all": alike(
        "isaacus",
        ISAACUS_REPLY,
        "kanon-2-reranker",
        called="texts",
        top_n=2,
        is_iql=True,
        scoring_method="chunk_avg",
        chunking_options=CHUNKS,
    ),
    "xinference": alike(
        "xinference", XINFERENCE_REPLY, "my-reranker", theirs={"return_documents": False}
    ),
    "xinference-all": alike(
        "xinference",
        XINFERENCE_REPLY,
        "my-reranker",
        theirs={"lang": "fr"},
        ours={"kwargs": {"lang": "fr"}},
        top_n=2,
        return_len=True,
    ),
}

DIFFERENCES = (
    Difference(
        "json.return_documents",
        ours=False,
        reason="core attaches the caller's own documents",
        pairs=("pinecone",),
    ),
    Difference(
        "headers.content-type",
        "application/json",
        "every version of the server takes it",
        ("elastic", "elastic-all"),
    ),
    Difference(
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("cohere_v1-all", "together-all"),
    ),
    Difference(
        "json.top_k", NOTHING, "None is the same as not given, and is not sent", ("voyage",)
    ),
    Difference(
        "json.truncation",
        NOTHING,
        "the SDK restates the service's default, which nobody asked for",
        ("voyage",),
    ),
    Difference(
        "query",
        "",
        "it asks for enums as numbers, and the reply has no enums",
        ("vertex_ai", "vertex_ai-all"),
    ),
    Difference(
        "json.ignoreRecordDetailsInResponse",
        ours=True,
        reason="it would send the documents back unasked",
        pairs=("vertex_ai", "vertex_ai-all"),
    ),
    Difference(
        "json.parameters",
        {"truncate_input_tokens": 512, "return_options": {"top_n": 2, "query": False}},
        "core attaches the caller's own documents",
        ("watsonx-all",),
    ),
    Difference(
        "json.return_input",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        ("mixedbread-all",),
    ),
    Difference(
        "json.return_documents",
        NOTHING,
        "the client restates a default of its own; over HTTP none come back unless asked for",
        ("xinference", "xinference-all"),
    ),
    Difference(
        "json.return_len",
        NOTHING,
        "the client restates the server's default, which nobody asked for",
        ("xinference",),
    ),
    Difference(
        "json.top_n", NOTHING, "None is the same as not given, and is not sent", ("xinference",)
    ),
    Difference(
        "json.max_chunks_per_doc",
        NOTHING,
        "None is the same as not given, and is not sent",
        ("xinference", "xinference-all"),
    ),
    Difference(
        "json.kwargs", NOTHING, "the client sends an empty object, in a string", ("xinference",)
    ),
    Difference(
        "json.kwargs",
        '{"lang":"fr"}',
        "JSON in a string may be written with fewer spaces",
        ("xinference-all",),
    ),
    Difference(
        "json.lang",
        NOTHING,
        "the client repeats options of the engine where the server ignores them",
        ("xinference-all",),
    ),
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no account, base URL or proxy of this machine take part."""
    for name in [name for name in os.environ if name.startswith(VARIABLES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def parts_of(request: Recorded) -> dict[str, Any]:
    """A request, flat; of a signature, only who signed for what."""
    authorization = re.sub(
        r"/\d{8}/(\S+?/(aws4_)?request).*", r"/<day>/\1", request.headers.get("authorization", "")
    )
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers.authorization": re.sub(r",signature=.*", "", authorization),
        **{f"headers.{name}": request.headers.get(name, "") for name in COMPARED},
        **{f"json.{name}": value for name, value in request.json.items()},
    }


def ranking_of(response: RerankResponse) -> list[list[Any]]:
    """Index and score of each result."""
    return [[result.index, result.relevance_score] for result in response.results]


@pytest.mark.parametrize("name", PAIRS)
def test_both_send_the_same_but_for_the_differences_and_read_the_same(
    name: str, tmp_path: Path
) -> None:
    """Method, path, query, who asks, and every field of the body; then index and score."""
    pair = PAIRS[name]
    # Without this header Elastic's client takes no server for Elasticsearch.
    reply = Reply(pair.reply, headers={"x-elastic-product": "Elasticsearch"})
    with recording(reply) as recorder:
        ours = dict(pair.ours) | {"api_base": recorder.base_url}
        if not ours.keys() & {*AWS, *GOOGLE, *IBM, *ORACLE, *VOLC}:
            ours["api_key"] = KEY
        read = call_sdk(pair.sdk, recorder.base_url, dict(pair.theirs), tmp_path)
        responses = [rerank(**ours), asyncio.run(arerank(**ours))]
        sent, *sent_by_us = map(parts_of, recorder.requests)
    differences = {row.where: row.ours for row in DIFFERENCES if name in row.pairs}
    expected = {
        where: value for where, value in (sent | differences).items() if value is not NOTHING
    }

    assert sent_by_us == [expected, expected]
    assert [ranking_of(response) for response in responses] == [read, read]
    assert [
        where for where, value in differences.items() if sent.get(where, NOTHING) == value
    ] == []


def test_every_difference_has_a_reason_and_a_call() -> None:
    """A row that holds for nothing is left over."""
    assert all(row.reason and row.pairs for row in DIFFERENCES)
    assert {name for row in DIFFERENCES for name in row.pairs} <= PAIRS.keys()
