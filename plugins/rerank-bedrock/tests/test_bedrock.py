"""Bedrock's two APIs as documentation, botocore's service model and other clients have them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from botocore.loaders import Loader  # type: ignore[import-untyped]
from botocore.model import ServiceModel  # type: ignore[import-untyped]
from botocore.validate import ParamValidator  # type: ignore[import-untyped]

import rerank_bedrock
from failures import Failure, failing
from rerank_core import (
    AuthenticationError,
    BilledUnits,
    ConfigurationError,
    InvalidRequestError,
    Meta,
    Price,
    Provider,
    RateLimitError,
    Reranker,
    RerankResponse,
    ResponseParseError,
    Tokens,
    UnsupportedParamError,
    rerank,
)
from rerank_core.testing import Case, Check, Example, conformance
from service import (
    Difference,
    Send,
    Service,
    both_ways,
    captures,
    differing_parts,
    forget_credentials,
    in_turn,
    load,
    send_async,
)

AMAZON, COHERE = "amazon.rerank-v1:0", "cohere.rerank-v3-5:0"
ARN = "arn:aws:bedrock:us-west-2::foundation-model/"
PROFILE_ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
QUERY = "capital of France?"
DOCUMENTS = ["Paris is the capital of France.", "Berlin is in Germany."]
KEYS = {"aws_access_key_id": "test-key", "aws_secret_access_key": "test-key"}
WEST = {"aws_region_name": "us-west-2"}
AGENT = "https://bedrock-agent-runtime.us-west-2.amazonaws.com"
RUNTIME = "https://bedrock-runtime.us-west-2.amazonaws.com"
BEARER = "bedrock-api-key-0123456789"
VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_REGION_NAME",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ENDPOINT_URL",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME",
    "BEDROCK_API_BASE",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "AWS_ENDPOINT_URL_STS",
)


def configuration(service: Service) -> Any:
    """The latest configuration of the Rerank operation."""
    return service.body["rerankingConfiguration"]["bedrockRerankingConfiguration"]


def rank_as_sent(asked: Any) -> Any:
    """The reply of either API that ranks all documents as they were sent."""
    if "sources" in asked:
        count = asked["rerankingConfiguration"]["bedrockRerankingConfiguration"]["numberOfResults"]
        return results([(at, 0.9 - at / 10_000) for at in range(count)], "relevanceScore")
    count = asked.get("top_n", len(asked["documents"]))
    return results([(at, 0.9 - at / 10_000) for at in range(count)], "relevance_score")


def results(ranking: Any, score: str) -> Any:
    """A reply's body."""
    return {"results": [{"index": index, score: value} for index, value in ranking]}


def ask(
    service: Service,
    documents: Any = DOCUMENTS,
    *,
    send: Send = rerank,
    model: str = AMAZON,
    **keywords: Any,
) -> RerankResponse:
    """Ask for a ranking, with keys and a region unless others are given."""
    given = {"max_retries": 0, "http_client": service, **KEYS, **WEST, **keywords}
    return send(f"bedrock/{model}", QUERY, documents, **given)


def facts(model: str, **options: Any) -> Provider:
    """What the plugin states about a model."""
    with Reranker(f"bedrock/{model}", **{**WEST, **options}) as reranker:
        return reranker.facts


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no credential, region, endpoint or instance of this machine take part."""
    forget_credentials(monkeypatch)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


# --- What others were seen to send ------------------------------------------------------------

FIRST_OF_TWO = {"results": [{"index": 0, "relevanceScore": 0.9}], "nextToken": "tok-1"}
LAST_OF_TWO = {"results": [{"index": 1, "relevanceScore": 0.5}]}
# The captured call in this project's words.
CALLS: Mapping[str, Mapping[str, Any]] = {
    "bedrock-boto3-invoke-amazon-sigv4": {"model": f"invoke/{AMAZON}", "top_n": 2},
    "bedrock-boto3-invoke-arn-path": {"model": f"invoke/{ARN}{AMAZON}", "top_n": 2},
    "bedrock-boto3-invoke-cohere-bearer": {
        "model": f"invoke/{COHERE}",
        "top_n": 2,
        "api_key": "test-key",
    },
    "bedrock-boto3-invoke-cohere-sigv4": {"model": f"invoke/{COHERE}", "top_n": 2},
    "bedrock-boto3-rerank-json-extra-fields": {
        "model": COHERE,
        "documents": [
            {"title": "Paris", "population": 2102650, "text": "Paris is the capital of France."}
        ],
        "additional_model_request_fields": {"max_tokens_per_doc": 2048},
    },
    "bedrock-boto3-rerank-page2": {},
    "bedrock-boto3-rerank-text": {},
    "bedrock-boto3-rerank-with-bearer-env": {"aws_bearer_token": "test-key"},
    "bedrock-cohere-invoke-v2": {
        "model": f"invoke/{COHERE}",
        "documents": DOCUMENTS[:1],
        "top_n": 1,
        "max_tokens_per_doc": 512,
    },
    "bedrock-litellm-full": {
        "model": f"{ARN}{COHERE}",
        "documents": [DOCUMENTS[0], {"title": "Berlin", "text": "Berlin is in Germany."}],
        "top_n": 2,
        "rank_fields": ["title"],
        "return_documents": True,
        "max_chunks_per_doc": 3,
        "drop_params": True,
        "api_base": "http://127.0.0.1:8080",
    },
}
# The replies that it takes to get there, where one is not enough.
REPLIES: Mapping[str, tuple[Any, ...]] = {
    "bedrock-boto3-rerank-json-extra-fields": (
        {"results": [], "nextToken": "abc"},
        {"results": [{"index": 0, "relevanceScore": 0.5}]},
    ),
    "bedrock-boto3-rerank-page2": (FIRST_OF_TWO, LAST_OF_TWO),
}
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test-key/{day}/us-west-2/bedrock/aws4_request,"
    " SignedHeaders=content-type;host;x-amz-date, Signature=<hex>"
)
# What this project sends otherwise, on purpose: where, what instead, why, in which captures.
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read; the others take their client's default",
        tuple(
            name
            for name in CALLS
            if name
            not in ("bedrock-boto3-invoke-cohere-bearer", "bedrock-boto3-invoke-cohere-sigv4")
        ),
    ),
    (
        "headers.content-type",
        "application/json",
        "boto3 sends the type of a body only where its caller says it",
        ("bedrock-boto3-invoke-amazon-sigv4", "bedrock-boto3-invoke-arn-path"),
    ),
    (
        "headers.authorization",
        SIGNED.format(day="20261122"),
        "of the headers only those are signed that no proxy has a reason to change",
        (
            "bedrock-boto3-invoke-amazon-sigv4",
            "bedrock-boto3-invoke-arn-path",
            "bedrock-boto3-invoke-cohere-sigv4",
        ),
    ),
    (
        "headers.authorization",
        SIGNED.format(day="20260102"),
        "likewise",
        ("bedrock-cohere-invoke-v2",),
    ),
    (
        "path",
        "/model/cohere.rerank-v3-5%3A0/invoke",
        "the model is one segment of the path, encoded as AWS's own SDKs do",
        ("bedrock-cohere-invoke-v2",),
    ),
    (
        "json.sources",
        [
            {
                "type": "INLINE",
                "inlineDocumentSource": {
                    "type": "TEXT",
                    "textDocument": {"text": "Paris is the capital of France."},
                },
            },
            {
                "type": "INLINE",
                "inlineDocumentSource": {"type": "JSON", "jsonDocument": {"title": "Berlin"}},
            },
        ],
        "litellm loses rank_fields; here the other fields are not sent",
        ("bedrock-litellm-full",),
    ),
)


def without_signature(authorization: str) -> str:
    """The header, with what captures have in place of a signature."""
    return re.sub(r"Signature=[0-9a-f]{64}$", "Signature=<hex>", authorization)


class Clock(datetime):
    """Stands still at the time that a capture was taken."""

    stamp = ""

    @classmethod
    def now(cls, tz: Any = None) -> Clock:
        """The time of the capture."""
        return cls.strptime(cls.stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=tz or UTC)


def compare(name: str, call: Mapping[str, Any], send: Send) -> dict[str, Any]:
    """What the last request has otherwise than a capture, at the time of the capture."""
    service = Service(in_turn(*REPLIES[name]) if name in REPLIES else rank_as_sent)
    seen = load(name)["request"]["headers"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clock, "stamp", seen.get("x-amz-date", "20261122T214319Z"))
        patch.setattr("rerank_bedrock._auth.datetime", Clock)
        ask(service, **{"send": send, **call})

    sent = service.requests[-1]
    sent.headers["authorization"] = without_signature(sent.headers["authorization"])
    return differing_parts(name, sent)


test_what_others_send_is_sent = captures(
    "bedrock", CALLS, DIFFERENCES, compare, others=("bedrock-botocore-sigv4-vectors",)
)


# --- The kit -----------------------------------------------------------------------------------

RERANK_CASE = Case(
    plugin=rerank_bedrock,
    model=COHERE,
    # The kit's key stands for what must never show; here, that is another.
    options={"api_key": None, **KEYS, **WEST, "aws_session_token": "canary-key-5f3a9c71d2"},
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 1},
        url=f"{AGENT}/rerank",
        json={
            "queries": [{"type": "TEXT", "textQuery": {"text": QUERY}}],
            "sources": [
                {
                    "type": "INLINE",
                    "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}},
                }
                for text in DOCUMENTS
            ],
            "rerankingConfiguration": {
                "type": "BEDROCK_RERANKING_MODEL",
                "bedrockRerankingConfiguration": {
                    "numberOfResults": 1,
                    "modelConfiguration": {"modelArn": f"{ARN}{COHERE}"},
                },
            },
        },
        reply={"results": [{"index": 1, "relevanceScore": 0.6847}]},
        ranking=[(1, 0.6847)],
    ),
    encode=lambda ranking, _documents, _top_n: results(ranking, "relevanceScore"),
    encode_error=lambda message: {"message": message},
)
INVOKE_CASE = Case(
    plugin=rerank_bedrock,
    model=f"invoke/{COHERE}",
    options=WEST,  # the kit's key is an API key
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 2},
        url=f"{RUNTIME}/model/cohere.rerank-v3-5%3A0/invoke",
        json={"query": QUERY, "documents": DOCUMENTS, "top_n": 2, "api_version": 2},
        reply={
            "results": [
                {"index": 1, "relevance_score": 0.6847},
                {"index": 0, "relevance_score": 0.0121},
            ]
        },
        ranking=[(1, 0.6847), (0, 0.0121)],
    ),
    encode=lambda ranking, _documents, _top_n: results(ranking, "relevance_score"),
    encode_error=lambda message: {"message": message},
)


@conformance(RERANK_CASE)
def test_the_rerank_operation_conforms(check: Check) -> None:
    """To what every plugin must keep."""
    check()


@conformance(INVOKE_CASE)
def test_invoke_model_conforms(check: Check) -> None:
    """Likewise, with an API key."""
    check()


# --- Where requests go ------------------------------------------------------------------------

LOCAL = "http://127.0.0.1:4566"
INVOKED = "/model/amazon.rerank-v1%3A0/invoke"


@pytest.mark.parametrize(
    ("model", "options", "url"),
    [
        (AMAZON, {}, f"{AGENT}/rerank"),
        (f"rerank/{AMAZON}", {}, f"{AGENT}/rerank"),
        (f"invoke/{AMAZON}", {}, f"{RUNTIME}{INVOKED}"),
        (AMAZON, {"route": "rerank"}, f"{AGENT}/rerank"),
        (AMAZON, {"route": "invoke"}, f"{RUNTIME}{INVOKED}"),
        (f"invoke/{AMAZON}", {"route": "invoke"}, f"{RUNTIME}{INVOKED}"),
        (f"{ARN}{AMAZON}", {"aws_region_name": None}, f"{AGENT}/rerank"),
        (
            f"invoke/{PROFILE_ARN}",
            {"aws_region_name": None},
            f"{RUNTIME}/model/{quote(PROFILE_ARN, safe='')}/invoke",
        ),
        # Regions with a domain of their own.
        (
            AMAZON,
            {"aws_region_name": "cn-north-1"},
            "https://bedrock-agent-runtime.cn-north-1.amazonaws.com.cn/rerank",
        ),
        (
            AMAZON,
            {"aws_region_name": "eusc-de-east-1", "route": "invoke"},
            f"https://bedrock-runtime.eusc-de-east-1.amazonaws.eu{INVOKED}",
        ),
        (
            AMAZON,
            {"aws_region_name": "us-gov-west-1"},
            "https://bedrock-agent-runtime.us-gov-west-1.amazonaws.com/rerank",
        ),
        # Base URLs.
        (AMAZON, {"api_base": LOCAL}, f"{LOCAL}/rerank"),
        (AMAZON, {"api_base": f"{LOCAL}/"}, f"{LOCAL}/rerank"),
        (AMAZON, {"api_base": f"{LOCAL}/rerank/"}, f"{LOCAL}/rerank"),
        (AMAZON, {"api_base": f"{LOCAL}/a/b"}, f"{LOCAL}/a/b/rerank"),
        (AMAZON, {"api_base": f"{LOCAL}/a?b=c"}, f"{LOCAL}/a/rerank?b=c"),
        (f"invoke/{AMAZON}", {"api_base": LOCAL}, f"{LOCAL}{INVOKED}"),
        (f"invoke/{AMAZON}", {"api_base": f"{LOCAL}/a/"}, f"{LOCAL}/a{INVOKED}"),
        (AMAZON, {"api_base": f"{LOCAL}/model/x/invoke"}, f"{LOCAL}/model/x/invoke"),
        (f"invoke/{AMAZON}", {"api_base": f"{LOCAL}/x/invoke/"}, f"{LOCAL}/x/invoke"),
        # The service in AWS's own hosts is exchanged for that of the route, and in no others.
        (AMAZON, {"api_base": RUNTIME}, f"{AGENT}/rerank"),
        (AMAZON, {"api_base": AGENT}, f"{AGENT}/rerank"),
        (f"invoke/{AMAZON}", {"api_base": f"{AGENT}/"}, f"{RUNTIME}{INVOKED}"),
        (
            AMAZON,
            {"api_base": "https://bedrock-runtime-fips.us-west-2.amazonaws.com:443"},
            "https://bedrock-agent-runtime-fips.us-west-2.amazonaws.com/rerank",
        ),
        (
            AMAZON,
            {"api_base": "https://vpce-0a.bedrock-runtime.us-west-2.vpce.amazonaws.com"},
            "https://vpce-0a.bedrock-runtime.us-west-2.vpce.amazonaws.com/rerank",
        ),
        (
            AMAZON,
            {"api_base": "https://bedrock-runtime.proxy.test"},
            "https://bedrock-runtime.proxy.test/rerank",
        ),
        (
            AMAZON,
            {"api_base": "https://bedrock-runtime.amazonaws.com.proxy.test/a.amazonaws.com"},
            "https://bedrock-runtime.amazonaws.com.proxy.test/a.amazonaws.com/rerank",
        ),
    ],
)
def test_a_request_goes_where_route_region_and_base_url_say(
    model: str, options: dict[str, Any], url: str
) -> None:
    """The model stays one encoded segment of the path."""
    service = Service(rank_as_sent)

    ask(service, model=model, **options)

    assert service.url == url


ENDPOINTS = {
    "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": "https://agent.test",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://runtime.test",
    "AWS_ENDPOINT_URL": "https://any.test",
    "AWS_BEDROCK_RUNTIME_ENDPOINT": "https://litellm.test",
    "BEDROCK_API_BASE": "https://last.test",
}


@pytest.mark.parametrize(
    ("model", "variables", "options", "host"),
    [
        (AMAZON, list(ENDPOINTS), {"api_base": "https://mine.test"}, "mine.test"),
        (AMAZON, list(ENDPOINTS), {}, "agent.test"),
        (f"invoke/{AMAZON}", list(ENDPOINTS), {}, "runtime.test"),
        (AMAZON, list(ENDPOINTS)[1:], {}, "any.test"),
        (AMAZON, list(ENDPOINTS)[3:], {}, "litellm.test"),
        (AMAZON, list(ENDPOINTS)[4:], {}, "last.test"),
        (f"invoke/{AMAZON}", list(ENDPOINTS)[2:], {}, "any.test"),
        # Where an API key chooses the route.
        (AMAZON, list(ENDPOINTS)[1:2], {"api_key": BEARER}, "runtime.test"),
        (AMAZON, [], {"api_key": BEARER}, "bedrock-runtime.us-west-2.amazonaws.com"),
        (
            AMAZON,
            ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
            {},
            "bedrock-agent-runtime.us-west-2.amazonaws.com",
        ),
    ],
)
def test_an_endpoint_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    variables: list[str],
    options: dict[str, Any],
    host: str,
) -> None:
    """The service's own before the general one, litellm's last, the argument before all."""
    for name in variables:
        monkeypatch.setenv(name, ENDPOINTS[name])
    service = Service(rank_as_sent)

    ask(service, model=model, **options)

    assert service.requests[0].url.host == host


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (f"invoke/{AMAZON}", {"route": "rerank"}, "route must be"),
        (AMAZON, {"route": "converse"}, "route must be"),
        (AMAZON, {"route": ["invoke"]}, "route must be"),
        (
            AMAZON,
            {"additional_model_request_fields": "x"},
            "additional_model_request_fields must be a mapping, not str",
        ),
        (f"invoke/{AMAZON}", {"api_base": f"{LOCAL}/rerank"}, "the base URL ends in /rerank"),
        (f"rerank/{AMAZON}", {"api_base": f"{LOCAL}/invoke"}, "the base URL ends in /invoke"),
        (PROFILE_ARN, {}, "ARN of a foundation model"),
        (f"{ARN}{AMAZON}", {"aws_region_name": "eu-central-1"}, "own region, here eu-central-1"),
        ("arn:nonsense", {}, "ARN of a foundation model"),
        (AMAZON, {"aws_region_name": None}, "no AWS region"),
        (AMAZON, {"aws_region_name": None, "api_base": LOCAL}, "no AWS region"),
        (f"invoke/{AMAZON}", {"aws_region_name": None, "api_base": LOCAL}, "to sign for"),
        (AMAZON, {"aws_region_name": "evil.test/"}, "aws_region_name must be like"),
        (AMAZON, {"aws_region_name": 5}, "aws_region_name must be like"),
    ],
)
def test_what_cannot_work_is_refused(model: str, options: dict[str, Any], words: str) -> None:
    """Before anything is sent, as a mistake in the configuration."""
    service = Service(rank_as_sent)

    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        ask(service, model=model, **options)

    assert type(caught.value) is ConfigurationError
    assert service.requests == []


@pytest.mark.parametrize(
    ("variables", "options", "region"),
    [
        (["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"], {}, "aws-region-name"),
        (["AWS_REGION", "AWS_DEFAULT_REGION"], {}, "aws-region"),
        (["AWS_DEFAULT_REGION"], {}, "aws-default-region"),
        ([], {}, "profile-default"),
        ([], {"aws_profile_name": "other", **dict.fromkeys(KEYS)}, "profile-other"),
        (["AWS_REGION_NAME"], {"model": f"{ARN}{AMAZON}"}, "us-west-2"),
        (["AWS_REGION_NAME"], {"aws_region_name": "eu-west-9"}, "eu-west-9"),
    ],
)
def test_the_region_is_looked_for_in_order(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: list[str],
    options: dict[str, Any],
    region: str,
) -> None:
    """Argument, ARN, variables, profile; it is in the host and in the ARN."""
    (tmp_path / "config").write_text(
        "[default]\nregion = profile-default\n[profile other]\nregion = profile-other\n"
        "aws_access_key_id = other\naws_secret_access_key = other\n"
    )
    for name in variables:
        monkeypatch.setenv(name, name.lower().replace("_", "-"))
    service = Service(rank_as_sent)

    ask(service, **{"aws_region_name": None, **options})

    model = f"arn:aws:bedrock:{region}::foundation-model/{AMAZON}"
    assert service.requests[0].url.host == f"bedrock-agent-runtime.{region}.amazonaws.com"
    assert configuration(service)["modelConfiguration"] == {"modelArn": model}
    assert f"/{region}/bedrock/" in service.requests[0].headers["authorization"]


def test_partitions_and_domains_are_those_of_botocore() -> None:
    """For every region of every partition."""
    partitions = json.loads(json.dumps(Loader().load_data("endpoints")))["partitions"]
    checked = 0
    for partition in partitions:
        for region in partition["regions"]:
            service = Service(rank_as_sent)
            ask(service, aws_region_name=region)
            checked += 1

            arn = f"arn:{partition['partition']}:bedrock:{region}::foundation-model/{AMAZON}"
            assert configuration(service)["modelConfiguration"]["modelArn"] == arn
            assert service.requests[0].url.host.endswith(f".{region}.{partition['dnsSuffix']}")
    assert checked > 30


@pytest.mark.parametrize(
    "base",
    [
        "https://bedrock-agent-runtime.eu-central-1.amazonaws.com",
        "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1",
        "https://bedrock-agent-runtime-fips.eu-central-1.amazonaws.com",
        "https://vpce-0a.bedrock-agent-runtime.eu-central-1.vpce.amazonaws.com",
        "https://bedrock-agent-runtime.eu-central-1.api.aws",
        "https://Bedrock-Agent-Runtime.EU-Central-1.amazonaws.com",
    ],
)
def test_a_base_url_of_aws_s_own_states_the_region(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before variables, which are for all of AWS; another one that the caller names is refused."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    service = Service(rank_as_sent)

    ask(service, aws_region_name=None, api_base=base)

    assert "/eu-central-1/bedrock/" in service.requests[0].headers["authorization"]
    with pytest.raises(ConfigurationError, match="eu-central-1, but the region is us-west-2"):
        ask(service, aws_region_name="us-west-2", api_base=base)
    with pytest.raises(ConfigurationError, match="eu-central-1, but the region is us-west-2"):
        ask(service, api_base=base, model=f"arn:aws:bedrock:us-west-2::foundation-model/{AMAZON}")
    assert len(service.requests) == 1


def test_a_base_url_of_nobody_s_states_no_region() -> None:
    """A gateway signs for the region that the caller names."""
    service = Service(rank_as_sent)

    ask(service, aws_region_name="us-west-2", api_base="https://bedrock.eu-central-1.gateway.test")

    assert "/us-west-2/bedrock/" in service.requests[0].headers["authorization"]


# --- The Rerank operation ----------------------------------------------------------------------

SHAPE = ServiceModel(
    Loader().load_service_model("bedrock-agent-runtime", "service-2")
).operation_model("Rerank")


@pytest.mark.parametrize(
    ("documents", "params"),
    [
        (["a"], {}),
        (["a", "b"], {"top_n": 1}),
        ([{"a": {"b": [1, 2.5, None, True]}}, "b", {"text": "c"}], {"top_n": 9}),
        ([{"a": "x", "b": "y"}], {"rank_fields": ["b", "a"]}),
        (["a"], {"model": COHERE, "max_tokens_per_doc": 512}),
        (["x" * 32_000], {}),
        ([f"{at}" for at in range(1000)], {}),
    ],
)
def test_requests_are_valid_by_the_service_s_own_model(
    documents: list[Any], params: dict[str, Any]
) -> None:
    """The one that botocore ships and checks its callers' parameters by."""
    service = Service(rank_as_sent)

    ask(service, documents, **params)

    report = ParamValidator().validate(service.body, SHAPE.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert set(service.body) <= set(SHAPE.input_shape.members)
    assert SHAPE.http["method"] == service.requests[0].method
    assert SHAPE.http["requestUri"] == service.requests[0].url.path


@pytest.mark.parametrize(("top_n", "number"), [(None, 2), (1, 1), (2, 2), (50, 2)])
def test_the_number_of_results_is_always_sent_and_never_too_large(
    top_n: int | None, number: int
) -> None:
    """Bedrock would take few without it, and refuses more than there are documents."""
    service = Service(rank_as_sent)

    response = ask(service, top_n=top_n)

    assert configuration(service)["numberOfResults"] == number
    assert len(response.results) == number


@pytest.mark.parametrize(
    ("documents", "rank_fields", "sent"),
    [
        (["a"], None, [{"type": "TEXT", "textDocument": {"text": "a"}}]),
        (
            [{"text": "a"}, "b"],
            None,
            [
                {"type": "JSON", "jsonDocument": {"text": "a"}},
                {"type": "TEXT", "textDocument": {"text": "b"}},
            ],
        ),
        (
            [{"a": 1, "b": {"c": [1.5, True]}, "d": None}],
            None,
            [{"type": "JSON", "jsonDocument": {"a": 1, "b": {"c": [1.5, True]}}}],
        ),
        (
            [{"a": "x", "b": "y", "c": "z"}, {"b": "only"}],
            ["c", "b"],
            [
                {"type": "JSON", "jsonDocument": {"c": "z", "b": "y"}},
                {"type": "JSON", "jsonDocument": {"b": "only"}},
            ],
        ),
    ],
    ids=["text", "mixed", "nested", "rank_fields"],
)
def test_documents_travel_as_text_or_json(
    documents: list[Any], rank_fields: list[str] | None, sent: list[Any]
) -> None:
    """Mappings are taken as they are, with only the fields to rank by, in their order."""
    service = Service(rank_as_sent)

    response = ask(service, documents, rank_fields=rank_fields)

    found = [source["inlineDocumentSource"] for source in service.body["sources"]]
    assert [json.dumps(source) for source in found] == [json.dumps(source) for source in sent]
    assert [result.document and result.document.fields for result in response.results] == [
        None if isinstance(document, str) else document for document in documents
    ]


def test_fields_for_the_model_are_sent() -> None:
    """Those of the option, and max_tokens_per_doc for the model that knows it."""
    service = Service(rank_as_sent)

    ask(service, model=COHERE, max_tokens_per_doc=77, additional_model_request_fields={"a": 1})

    assert configuration(service)["modelConfiguration"] == {
        "modelArn": f"{ARN}{COHERE}",
        "additionalModelRequestFields": {"a": 1, "max_tokens_per_doc": 77},
    }


@both_ways
def test_pages_are_put_together(send: Send) -> None:
    """Until there is no token; the same request again, with the token."""
    pages = [
        {"results": [{"index": 2, "relevanceScore": 0.2}], "nextToken": "t1"},
        {"results": [], "nextToken": "t2"},
        {"results": [{"index": 0, "relevanceScore": 0.9}, {"index": 1, "relevanceScore": 0.5}]},
    ]
    service = Service(in_turn(*pages), headers={"x-amzn-requestid": "req-1"})

    response = ask(service, ["a", "b", "c"], send=send, extra_body={"more": 1})

    bodies = [json.loads(request.content) for request in service.requests]
    assert [(r.index, r.relevance_score) for r in response.results] == [
        (0, 0.9),
        (1, 0.5),
        (2, 0.2),
    ]
    assert [body.pop("nextToken", None) for body in bodies] == [None, "t1", "t2"]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["more"] == 1
    assert response.payload == pages
    assert response.id == "req-1"
    assert tuple(response.warnings) == ()


def test_a_parameter_that_only_the_first_page_had_is_warned_of() -> None:
    """For the model that takes it; what the option says is in every page."""
    service = Service(in_turn(FIRST_OF_TWO, LAST_OF_TWO))

    response = ask(
        service,
        model=COHERE,
        max_tokens_per_doc=9,
        additional_model_request_fields={"a": 1},
    )

    assert [warning for warning in response.warnings if "max_tokens_per_doc" in warning]
    sent = configuration(service)["modelConfiguration"]["additionalModelRequestFields"]
    assert sent == {"a": 1}


def test_no_page_is_asked_for_beyond_what_is_wanted() -> None:
    """A token after the last result that was asked for is not followed."""
    service = Service({"results": [{"index": 1, "relevanceScore": 0.2}], "nextToken": "t1"})

    response = ask(service, top_n=1)

    assert len(service.requests) == 1
    assert [result.index for result in response.results] == [1]
    assert response.warnings == ()


def test_a_token_that_comes_again_is_an_error() -> None:
    """The pages would never end."""
    service = Service({"results": [], "nextToken": "t1"})

    with pytest.raises(ResponseParseError, match="keeps saying"):
        ask(service)

    assert len(service.requests) == 2


def test_the_documented_reply_is_read() -> None:
    """Index, score and AWS's own id; a document that is sent back is not used."""
    reply = results([(0, 0.0121), (1, 0.6847)], "relevanceScore")
    reply["results"][0]["document"] = {"type": "TEXT", "textDocument": {"text": "other"}}
    service = Service(reply, headers={"x-amzn-requestid": "5f5c9a3e"})

    response = ask(service)

    assert [(r.index, r.relevance_score) for r in response.results] == [(1, 0.6847), (0, 0.0121)]
    assert [result.document and result.document.text for result in response.results] == [
        DOCUMENTS[1],
        DOCUMENTS[0],
    ]
    assert response.id == "5f5c9a3e"
    assert response.meta == Meta(billed_units=BilledUnits(search_units=1))


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        (AMAZON, results([(0, 0.5), (1, 0.4)], "relevance_score")),
        (f"invoke/{AMAZON}", results([(0, 0.5), (1, 0.4)], "relevanceScore")),
        (AMAZON, {}),
        (AMAZON, []),
        (AMAZON, {"results": []}),
        (AMAZON, {"results": {}}),
        (AMAZON, "<html>"),
    ],
)
def test_a_reply_without_a_ranking_is_an_error(model: str, reply: Any) -> None:
    """Never an empty success."""
    with pytest.raises(ResponseParseError):
        ask(Service(reply), model=model)


# --- InvokeModel -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "params", "body"),
    [
        (AMAZON, {}, {}),
        (COHERE, {}, {"api_version": 2}),
        (f"{ARN}{COHERE}", {}, {"api_version": 2}),
        (PROFILE_ARN, {"extra_body": {"api_version": 2}}, {"api_version": 2}),
        (AMAZON, {"top_n": 1}, {"top_n": 1}),
        (COHERE, {"top_n": 9}, {"api_version": 2, "top_n": 2}),
        (COHERE, {"max_tokens_per_doc": 9}, {"api_version": 2, "max_tokens_per_doc": 9}),
    ],
)
def test_the_body_is_the_model_s_own(
    model: str, params: dict[str, Any], body: dict[str, Any]
) -> None:
    """Cohere's model needs a version that Amazon's must not have; neither is named in the body."""
    service = Service(rank_as_sent)

    ask(service, model=f"invoke/{model}", **params)

    assert service.body == {"query": QUERY, "documents": DOCUMENTS, **body}


def test_mappings_are_rendered_for_invoke_model() -> None:
    """It takes only strings."""
    service = Service(rank_as_sent)
    documents = [{"title": "a", "text": "b"}, {"text": "c"}, "d"]

    ask(service, documents, model=f"invoke/{AMAZON}")
    ask(service, documents, model=f"invoke/{AMAZON}", rank_fields=["text"])

    sent = [json.loads(request.content)["documents"] for request in service.requests]
    assert sent == [["title: a\ntext: b", "c", "d"], ["b", "c", "d"]]


@pytest.mark.parametrize(
    ("headers", "tokens"),
    [
        (
            {
                "X-Amzn-Bedrock-Input-Token-Count": "42",
                "X-Amzn-Bedrock-Output-Token-Count": "0",
            },
            Tokens(42, 0),
        ),
        ({"X-Amzn-Bedrock-Input-Token-Count": "many"}, Tokens()),
        ({"X-Amzn-Bedrock-Input-Token-Count": "9" * 5000}, Tokens()),
        ({}, Tokens()),
    ],
)
def test_token_counts_are_read_where_they_are_there(
    headers: dict[str, str], tokens: Tokens
) -> None:
    """An absent count is unknown, not a number."""
    service = Service(rank_as_sent, headers=headers)

    response = ask(service, model=f"invoke/{COHERE}")

    assert response.meta.tokens == tokens


# --- Parameters and facts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "params", "refused"),
    [
        (AMAZON, {"max_chunks_per_doc": 3}, "max_chunks_per_doc"),
        (AMAZON, {"max_tokens_per_doc": 3}, "max_tokens_per_doc"),
        (f"invoke/{AMAZON}", {"max_tokens_per_doc": 3}, "max_tokens_per_doc"),
        (COHERE, {"max_chunks_per_doc": 3}, "max_chunks_per_doc"),
        (AMAZON, {"priority": 3}, "priority"),
    ],
)
def test_a_parameter_that_a_model_does_not_know_is_refused(
    model: str, params: dict[str, Any], refused: str
) -> None:
    """And left out with a warning where that is allowed."""
    service = Service(rank_as_sent)

    with pytest.raises(UnsupportedParamError) as caught:
        ask(service, model=model, **params)
    response = ask(service, model=model, drop_params=True, **params)

    assert caught.value.param == refused
    assert [warning for warning in response.warnings if refused in warning]
    assert refused not in json.dumps(service.body)


def test_fields_for_the_model_belong_to_the_rerank_operation() -> None:
    """InvokeModel's body is the model's own already."""
    with pytest.raises(UnsupportedParamError, match="use extra_body"):
        ask(
            Service(rank_as_sent),
            model=f"invoke/{COHERE}",
            additional_model_request_fields={"a": 1},
        )


@pytest.mark.parametrize(
    ("model", "usd", "tokens", "bytes_", "chars"),
    [
        (AMAZON, 0.001, None, None, 32_000),
        (COHERE, 0.002, 4096, None, 32_000),
        (f"rerank/{ARN}{COHERE}", 0.002, 4096, None, 32_000),
        (f"invoke/{COHERE}", 0.002, 4096, 24_900_000, None),
        ("my-own", None, None, None, 32_000),
    ],
)
def test_what_is_stated_of_a_model(
    model: str, usd: float | None, tokens: int | None, bytes_: int | None, chars: int | None
) -> None:
    """Price, context and limits."""
    known = facts(model)

    assert known.price == (Price(usd, "search_units", "2026-11-22") if usd else None)
    assert known.max_tokens == tokens
    assert known.max_request_bytes == bytes_
    assert known.max_document_chars == known.max_query_chars == chars
    assert known.max_documents == 1000
    assert (known.score_kind, known.listwise) == ("probability", False)


@pytest.mark.parametrize(
    ("documents", "words"), [(["a", "x" * 32_001], "documents[1] has 32,001 characters")]
)
def test_a_text_that_is_too_long_is_refused(documents: list[str], words: str) -> None:
    """With its place in the caller's list; InvokeModel states no such limit."""
    service = Service(rank_as_sent)

    with pytest.raises(InvalidRequestError, match=re.escape(words)):
        ask(service, documents)
    ask(service, documents, model=f"invoke/{AMAZON}")

    assert len(service.requests) == 1


INVOKE_ENDS = [{"model": f"invoke/{AMAZON}"}, {"api_base": f"{LOCAL}/model/x/invoke"}]


@pytest.mark.parametrize("place", INVOKE_ENDS)
def test_only_what_is_sent_counts_for_the_limit(place: dict[str, Any]) -> None:
    """Not a field that rank_fields leaves out."""
    service = Service(rank_as_sent)

    ask(service, [{"text": "a", "blob": "x" * 25_000_000}], rank_fields=["text"], **place)

    assert service.body["documents"] == ["a"]


@pytest.mark.parametrize("place", INVOKE_ENDS)
def test_the_limit_counts_what_mappings_become(place: dict[str, Any]) -> None:
    """A list of a mapping travels as JSON within JSON, which may be twice as long."""
    service = Service(rank_as_sent)

    with pytest.raises(InvalidRequestError, match=r"documents\[0\] is too large"):
        ask(service, [{"quotes": ['"' * 7_000_000]}], **place)

    assert service.requests == []


# --- Errors ------------------------------------------------------------------------------------

TYPE = "http://internal.amazon.com/coral/com.amazon.bedrock/"


ERRORS = [
    Failure(
        400,
        {"message": "Cannot provide numberOfResults value that exceeds the number of sources."},
        ("exceeds the number of sources", "amazon.rerank-v1:0 not"),
        headers={"x-amzn-errortype": f"ValidationException:{TYPE}"},
    ),
    Failure(
        400, {"__type": "com.amazon#ServiceQuotaExceededException", "message": "quota"}, "quota"
    ),
    Failure(
        403,
        {"Message": "User: arn:aws:iam::1:user/a is not authorized"},
        ("is not authorized", "bedrock:Rerank", "aws-marketplace:Subscribe"),
        headers={"x-amzn-errortype": "AccessDeniedException"},
    ),
    Failure(
        403,
        {"message": "The security token included in the request is invalid."},
        ("security token", "access key"),
        kind=AuthenticationError,
        headers={"x-amzn-errortype": "UnrecognizedClientException"},
    ),
    Failure(
        403,
        {"message": "The security token included in the request is expired"},
        ("is expired", "temporary credentials"),
        kind=AuthenticationError,
        headers={"x-amzn-errortype": "ExpiredTokenException"},
    ),
    Failure(
        403,
        {"message": "Signature expired: 20260102T030405Z is now earlier"},
        ("Signature expired", "clock"),
        kind=AuthenticationError,
        headers={"x-amzn-errortype": "InvalidSignatureException"},
    ),
    Failure(403, {"code": "IncompleteSignatureException"}, "403", kind=AuthenticationError),
    Failure(
        403,
        {"Message": "Invalid API Key format: Base64 decoding failed"},
        ("Invalid API Key format", "AWS_BEARER_TOKEN_BEDROCK"),
        kind=AuthenticationError,
    ),
    Failure(
        400,
        {"message": "#/api_version: 1 is not greater or equal to 2"},
        ("not greater", "give extra_body={'api_version': 2}"),
        headers={"x-amzn-errortype": "ValidationException"},
    ),
    Failure(
        400,
        {"message": "Malformed input request: #: extraneous key [api_version] is not permitted"},
        ("extraneous key", "leave it out of extra_body="),
        headers={"x-amzn-errortype": "ValidationException"},
    ),
    Failure(
        404,
        {"message": "no such model"},
        ("no such model", "us-west-2"),
        headers={"x-amzn-errortype": "ResourceNotFoundException"},
    ),
    Failure(
        400,
        {"message": "Rate exceeded"},
        "Rate exceeded",
        kind=RateLimitError,
        retried=True,
        headers={"x-amzn-errortype": "ThrottlingException"},
    ),
    Failure(409, {"message": "conflict"}, "conflict"),
    Failure(424, {"message": "model failed"}, "model failed"),
    Failure(429, {"message": "Too many requests"}, "Too many"),
    Failure(500, {"message": "internal", "reason": "model"}, "internal"),
    Failure(502, {"message": "dependency"}, "dependency"),
    Failure(503, "<html>unavailable</html>", "unavailable"),
]
test_an_error_is_of_its_kind = failing(ask, f"bedrock/{AMAZON}", ERRORS)


def test_a_reply_that_quotes_the_signed_request_is_not_shown() -> None:
    """AWS quotes all signed headers where a signature is wrong, the session token among them."""
    token = "session-token-0123456789"  # noqa: S105 - made up
    said = (
        "The request signature we calculated does not match.\n\nThe Canonical String for this"
        f" request should have been\n'POST\n/rerank\n\nx-amz-security-token:{token}\n'"
    )

    for send in (rerank, send_async):
        service = Service({"message": said}, 403)
        with pytest.raises(
            AuthenticationError, match="a wrong secret key, region or clock"
        ) as info:
            ask(service, send=send, aws_session_token=token)

        assert info.value.status_code == 403
        assert token not in f"{info.value!r} {info.value} {info.value.response} "
        assert info.value.response is not None
        assert info.value.response.content == b""
