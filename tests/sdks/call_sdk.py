"""Make one call with an official SDK: `python call_sdk.py NAME BASE_URL < CALL.json`.

It runs in the environment of the SDKs, and prints what the SDK read: index and score, as JSON.
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"
# ruff: noqa: PLC0415 - an SDK is imported only where it is called

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

KEY = "test-key.0123456789"  # the dot makes IBM's client take it for a token


def call_cohere_v1(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Cohere's client for the first version of its API."""
    import cohere

    client = cohere.Client(api_key=KEY, base_url=base_url)
    return [(row.index, row.relevance_score) for row in client.rerank(**call).results]


def call_cohere_v2(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Cohere's client for the second version of its API."""
    import cohere

    client = cohere.ClientV2(api_key=KEY, base_url=base_url)
    return [(row.index, row.relevance_score) for row in client.rerank(**call).results]


def call_voyage(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Voyage's client."""
    import voyageai

    client = voyageai.Client(api_key=KEY, base_url=f"{base_url}/v1")
    return [(row.index, row.relevance_score) for row in client.rerank(**call).results]


def call_together(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Together's client."""
    import together

    client = together.Together(api_key=KEY, base_url=base_url)
    reply = client.rerank.create(**call)
    return [(row.index, row.relevance_score) for row in reply.results]


def call_bedrock(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """AWS's client, of the Rerank operation or of InvokeModel."""
    import botocore.session

    service = "bedrock-runtime" if "modelId" in call else "bedrock-agent-runtime"
    client = botocore.session.get_session().create_client(
        service,
        region_name="us-west-2",
        endpoint_url=base_url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=KEY,
    )
    if service == "bedrock-agent-runtime":
        rows = client.rerank(**call)["results"]
        return [(row["index"], row["relevanceScore"]) for row in rows]
    reply = client.invoke_model(**call | {"body": json.dumps(call["body"])})
    rows = json.loads(reply["body"].read())["results"]
    return [(row["index"], row["relevance_score"]) for row in rows]


def call_vertex_ai(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Google's client, over REST."""
    from google.cloud import discoveryengine_v1 as discoveryengine
    from google.cloud.discoveryengine_v1.services.rank_service.transports import (
        RankServiceRestTransport,
    )
    from google.oauth2.credentials import Credentials

    transport = RankServiceRestTransport(
        host=urlsplit(base_url).netloc,
        url_scheme="http",
        credentials=Credentials(token=KEY, quota_project_id="my-project"),
    )
    client = discoveryengine.RankServiceClient(transport=transport)
    records = client.rank(discoveryengine.RankRequest(**call)).records
    return [(int(record.id), record.score) for record in records]


def call_watsonx(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """IBM's client, which takes only IBM's own hosts: its transport leads elsewhere."""
    from ibm_watsonx_ai import APIClient, Credentials
    from ibm_watsonx_ai.foundation_models import Rerank

    class Led(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if not request.url.path.endswith("/text/rerank"):  # about the project, which it checks
                return httpx.Response(200, json={"entity": {"storage": {"type": "any"}}})
            request.url = httpx.URL(base_url).copy_with(raw_path=request.url.raw_path)
            return super().handle_request(request)

    client = APIClient(
        Credentials(url="https://us-south.ml.cloud.ibm.com", token=KEY),
        httpx_client=httpx.Client(transport=Led()),
    )
    made = {name: call[name] for name in ("model_id", "project_id")}
    asked = {name: call[name] for name in call if name not in made}
    reply = Rerank(api_client=client, **made).generate(**asked)
    return [(row["index"], row["score"]) for row in reply["results"]]


def call_mixedbread(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Mixedbread's client."""
    import mixedbread

    client = mixedbread.Mixedbread(api_key=KEY, base_url=base_url)
    return [(row.index, row.score) for row in client.rerank(**call).data]


def call_openrouter(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """OpenRouter's client."""
    import openrouter

    client = openrouter.OpenRouter(api_key=KEY, server_url=f"{base_url}/api/v1")
    reply = client.rerank.rerank(**call)
    return [(row.index, row.relevance_score) for row in reply.results]


def call_contextual(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Contextual AI's client."""
    import contextual

    client = contextual.ContextualAI(api_key=KEY, base_url=f"{base_url}/v1")
    return [(row.index, row.relevance_score) for row in client.rerank.create(**call).results]


def call_isaacus(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Isaacus's client."""
    import isaacus

    client = isaacus.Isaacus(api_key=KEY, base_url=f"{base_url}/v1")
    return [(row.index, row.score) for row in client.rerankings.create(**call).results]


def call_xinference(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Xinference's client, whose handle stands in for the two requests that look the model up."""
    from xinference_client.client.restful.restful_client import RESTfulRerankModelHandle

    handle = RESTfulRerankModelHandle(
        call.pop("model"), base_url, auth_headers={"Authorization": f"Bearer {KEY}"}
    )
    reply = handle.rerank(**call)
    return [(row["index"], row["relevance_score"]) for row in reply["results"]]


def call_pinecone(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Pinecone's client."""
    import pinecone

    reply = pinecone.Pinecone(api_key=KEY, host=base_url).inference.rerank(**call)
    return [(row.index, row.score) for row in reply.data]


def call_elastic(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Elastic's client."""
    import elasticsearch

    with elasticsearch.Elasticsearch(base_url, api_key=KEY) as client:
        rows = client.inference.rerank(**call)["rerank"]
    return [(row["index"], row["relevance_score"]) for row in rows]


def call_sagemaker(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """AWS's client, which knows nothing of what a container answers."""
    import botocore.session

    client = botocore.session.get_session().create_client(
        "sagemaker-runtime",
        region_name="us-west-2",
        endpoint_url=base_url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=KEY,
    )
    reply = client.invoke_endpoint(**call | {"Body": json.dumps(call["Body"])})
    return [(row["index"], row["score"]) for row in json.loads(reply["Body"].read())]


def call_oci(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Oracle's client; what signs is told with the call."""
    from oci.generative_ai_inference import GenerativeAiInferenceClient, models

    asked = dict(call)
    client = GenerativeAiInferenceClient(asked.pop("config"), service_endpoint=base_url)
    mode = models.OnDemandServingMode(model_id=asked.pop("model_id"))
    reply = client.rerank_text(models.RerankTextDetails(serving_mode=mode, **asked)).data
    return [(row.index, row.relevance_score) for row in reply.document_ranks]


def call_volcengine(base_url: str, call: dict[str, Any]) -> list[tuple[int, float]]:
    """Volcengine's client of its knowledge service."""
    from vikingdb import IAM
    from vikingdb.knowledge import VikingKnowledge

    url = urlsplit(base_url)
    auth = IAM(ak="AKLTEXAMPLE", sk=KEY)
    client = VikingKnowledge(host=url.netloc, scheme=url.scheme, auth=auth)
    scores = client.rerank(**call).result.scores
    return sorted(enumerate(scores), key=lambda row: -row[1])


CALLS: dict[str, Callable[[str, dict[str, Any]], list[tuple[int, float]]]] = {
    "bedrock": call_bedrock,
    "cohere_v1": call_cohere_v1,
    "cohere_v2": call_cohere_v2,
    "contextual": call_contextual,
    "isaacus": call_isaacus,
    "mixedbread": call_mixedbread,
    "openrouter": call_openrouter,
    "elastic": call_elastic,
    "oci": call_oci,
    "pinecone": call_pinecone,
    "sagemaker": call_sagemaker,
    "together": call_together,
    "vertex_ai": call_vertex_ai,
    "volcengine": call_volcengine,
    "voyage": call_voyage,
    "watsonx": call_watsonx,
    "xinference": call_xinference,
}


if __name__ == "__main__":
    read = CALLS[sys.argv[1]](sys.argv[2], json.load(sys.stdin))
    sys.stdout.write(f"{json.dumps(read)}\n")
