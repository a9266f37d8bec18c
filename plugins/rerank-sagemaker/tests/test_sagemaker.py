"""SageMaker's InvokeEndpoint, as botocore and the makers of containers have it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from botocore.loaders import Loader  # type: ignore[import-untyped]

import rerank_sagemaker
from failures import Failure, failing
from rerank_core import (
    AuthenticationError,
    BadRequestError,
    BilledUnits,
    ConfigurationError,
    Meta,
    MissingAPIKeyError,
    NotFoundError,
    RateLimitError,
    ResponseParseError,
    ServerError,
)
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import (
    Send,
    Service,
    asking,
    check_refused_unless_allowed,
    every_way,
    forget_credentials,
)

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
KEYS = {"aws_access_key_id": "test-key", "aws_secret_access_key": "test-secret-0123"}
WEST = {"aws_region_name": "us-west-2"}
URL = "https://runtime.sagemaker.us-west-2.amazonaws.com/endpoints/my-endpoint/invocations"
VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION_NAME",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    "SAGEMAKER_API_BASE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


def answer(asked: Any) -> Any:
    """What the container that takes such a body replies: all as sent."""
    if "texts" in asked:
        return [{"index": at, "score": 0.9 - at / 1000} for at in range(len(asked["texts"]))]
    if "docs" in asked:
        return {"scores": [0.9 - at / 1000 for at in range(len(asked["docs"]))]}
    count = asked.get("top_n", len(asked["documents"]))
    rows = [{"index": at, "relevance_score": 0.9 - at / 1000} for at in range(count)]
    return {"results": rows, "meta": {"billed_units": {"search_units": 1}}}


ask = asking("sagemaker/my-endpoint", query=QUERY, documents=DOCUMENTS, **KEYS, **WEST)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no credential, region or endpoint of this machine take part."""
    forget_credentials(monkeypatch)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


# The kit's key stands for what must never show; here, that is a session token.
OPTIONS = {"api_key": None, **KEYS, **WEST, "aws_session_token": CANARY}
TEI = Case(
    plugin=rerank_sagemaker,
    model="my-endpoint",
    options=OPTIONS,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "truncate": True},
        url=URL,
        json={"query": QUERY, "texts": DOCUMENTS, "truncate": True},
        reply=[{"index": 1, "score": 0.9976}, {"index": 0, "score": 0.0125}],
        ranking=[(1, 0.9976), (0, 0.0125)],
    ),
    encode=lambda ranking, _, __: [{"index": at, "score": score} for at, score in ranking],
    encode_error=lambda message: {"Message": message},
    params={"truncate": True, "raw_scores": True, "truncation_direction": "Left"},
)
COHERE = Case(
    plugin=rerank_sagemaker,
    model="cohere/my-endpoint",
    options=OPTIONS,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS, "top_n": 1, "api_version": 2},
        url=URL,
        json={"query": QUERY, "documents": DOCUMENTS, "top_n": 1, "api_version": 2},
        reply={
            "results": [{"index": 1, "relevance_score": 0.98}],
            "meta": {"billed_units": {"search_units": 1}},
        },
        ranking=[(1, 0.98)],
        meta=Meta(billed_units=BilledUnits(search_units=1)),
    ),
    encode=lambda ranking, _, __: {
        "results": [{"index": at, "relevance_score": score} for at, score in ranking]
    },
    encode_error=lambda message: {"Message": message},
    params={"api_version": 2},
)
PAIRS = Case(
    plugin=rerank_sagemaker,
    model="pairs/my-endpoint",
    options=OPTIONS,
    example=Example(
        call={"query": QUERY, "documents": DOCUMENTS},
        url=URL,
        json={"inputs": [QUERY, QUERY], "docs": DOCUMENTS},
        reply={"scores": [0.1, 0.8]},
        ranking=[(1, 0.8), (0, 0.1)],
    ),
    encode=lambda ranking, _, __: {"scores": [score for _, score in ranking]},
    encode_error=lambda message: {"Message": message},
    positional=True,
)


@conformance(TEI)
def test_a_container_of_hugging_face_conforms(check: Check) -> None:
    """To what every plugin must keep."""
    check()


@conformance(COHERE)
def test_a_container_of_cohere_conforms(check: Check) -> None:
    """Likewise."""
    check()


@conformance(PAIRS)
def test_a_container_of_pairs_conforms(check: Check) -> None:
    """Likewise."""
    check()


@every_way
def test_the_signature_is_botocore_s_for_sagemaker(send: Send) -> None:
    """Of the very bytes and the URL that are sent, with the token that was given."""
    service = Service(answer)
    given = {"aws_session_token": "my-token"}
    ask(service, send=send, **given)
    (request,) = service.requests

    scope = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=test-key/(\d{8}/us-west-2/sagemaker/aws4_request),"
        r" SignedHeaders=(\S+), Signature=([0-9a-f]{64})",
        request.headers["authorization"],
    )
    assert scope is not None, request.headers["authorization"]
    kept = {name: request.headers[name] for name in scope[2].split(";") if name != "host"}
    expected = AWSRequest("POST", str(request.url), kept, request.content)
    expected.context["timestamp"] = request.headers["x-amz-date"]
    keys = Credentials("test-key", "test-secret-0123", "my-token")
    signer = SigV4Auth(keys, "sagemaker", "us-west-2")
    text = signer.string_to_sign(expected, signer.canonical_request(expected))
    assert scope[3] == signer.signature(text, expected)
    assert request.headers["x-amz-security-token"] == "my-token"


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, URL),
        (
            {"aws_region_name": "cn-north-1"},
            URL.replace("us-west-2", "cn-north-1").replace(".com/", ".com.cn/"),
        ),
        ({"model": "sagemaker/cohere/my-endpoint"}, URL),
        ({"model": "sagemaker/cohere/my-endpoint", "container": "cohere"}, URL),
        ({"model": "sagemaker/a b"}, URL.replace("my-endpoint", "a%20b")),
        ({"api_base": "http://127.0.0.1"}, "http://127.0.0.1/endpoints/my-endpoint/invocations"),
        ({"api_base": "https://proxy.test/x/invocations"}, "https://proxy.test/x/invocations"),
    ],
)
def test_where_requests_go(options: dict[str, Any], url: str) -> None:
    """To the endpoint, in the region or at the base URL."""
    service = Service(answer)
    ask(service, **options)

    assert service.url == url


@pytest.mark.parametrize(
    "base",
    [
        "https://runtime.sagemaker.eu-central-1.amazonaws.com",
        "https://runtime-fips.sagemaker.eu-central-1.amazonaws.com/",
        "https://vpce-0a.runtime.sagemaker.eu-central-1.vpce.amazonaws.com",
        "https://runtime.sagemaker.eu-central-1.amazonaws.com/endpoints/my-endpoint/invocations",
    ],
)
def test_a_base_url_of_aws_s_own_states_the_region(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before variables, which are for all of AWS; another one that the caller names is refused."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    service = Service(answer)

    ask(service, aws_region_name=None, api_base=base)

    assert "/eu-central-1/sagemaker/" in service.requests[0].headers["authorization"]
    with pytest.raises(ConfigurationError, match="eu-central-1, but the region is us-west-2"):
        ask(service, api_base=base)
    assert len(service.requests) == 1


def test_a_proxy_at_aws_states_no_region() -> None:
    """It signs for the region that the caller names."""
    service = Service(answer)

    ask(service, api_base="https://abc.execute-api.eu-central-1.amazonaws.com/x")

    assert "/us-west-2/sagemaker/" in service.requests[0].headers["authorization"]


def test_partitions_and_domains_are_those_of_botocore() -> None:
    """AWS's isolated ones, too."""
    partitions = json.loads(json.dumps(Loader().load_data("endpoints")))["partitions"]
    known = [partition for partition in partitions if partition["regions"]]
    for partition in known:
        region = next(iter(partition["regions"]))
        service = Service(answer)
        ask(service, aws_region_name=region)

        host = f"runtime.sagemaker.{region}.{partition['dnsSuffix']}"
        assert service.requests[0].url.host == host
    assert len(known) >= 4


def test_the_region_may_be_the_profile_s(tmp_path: Path) -> None:
    """And so may the keys."""
    (tmp_path / "config").write_text(
        "[profile other]\nregion = eu-central-1\naws_access_key_id = A\naws_secret_access_key = b\n"
    )
    service = Service(answer)
    nothing = dict.fromkeys([*KEYS, *WEST])
    ask(service, **nothing, aws_profile_name="other")

    assert service.requests[0].url.host == "runtime.sagemaker.eu-central-1.amazonaws.com"
    assert "Credential=A/" in service.requests[0].headers["authorization"]


@every_way
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"aws_region_name": None}, ConfigurationError, "no AWS region"),
        (dict.fromkeys(KEYS), MissingAPIKeyError, "no AWS credentials"),
        ({"aws_secret_access_key": None}, ConfigurationError, "belong together"),
        ({"api_key": "a-key"}, ConfigurationError, "takes no API key"),
        ({"container": "other"}, ConfigurationError, "container must be one of 'tei', 'cohere'"),
        (
            {"container": "tei", "model": "sagemaker/cohere/my-endpoint"},
            ConfigurationError,
            "as the model's prefix, not 'tei'",
        ),
        ({"container": ["tei"]}, ConfigurationError, "container must be one of"),
        ({"inference_component": "two\nlines"}, ConfigurationError, "must be a name"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused(
    options: dict[str, Any], kind: type[Exception], words: str, send: Send
) -> None:
    """Before it is sent; and nothing speaks of Bedrock's keys, which are of no use here."""
    service = Service(answer)
    with pytest.raises(kind, match=words) as caught:
        ask(service, send=send, **options)

    assert service.requests == []
    assert "BEDROCK" not in str(caught.value)


def test_the_model_of_an_endpoint_is_named_in_a_header() -> None:
    """As AWS's own SDK does."""
    service = Service(answer)
    ask(service, inference_component="my-model", target_variant="B")

    headers = service.requests[0].headers
    assert headers["x-amzn-sagemaker-inference-component"] == "my-model"
    assert headers["x-amzn-sagemaker-target-variant"] == "B"


@pytest.mark.parametrize("container", ["tei", "pairs"])
@pytest.mark.parametrize("name", ["max_tokens_per_doc", "max_chunks_per_doc", "api_version"])
def test_what_the_container_cannot_do_is_refused(container: str, name: str) -> None:
    """It would be ignored, or refused in words of its own."""

    def of(service: Service, *args: Any, **keywords: Any) -> Any:
        return ask(service, *args, container=container, **keywords)

    check_refused_unless_allowed(of, Service(answer), "sagemaker", name)


@pytest.mark.parametrize("container", ["tei", "cohere", "pairs"])
def test_the_best_are_kept(container: str) -> None:
    """By the container where it can, else by core."""
    service = Service(answer)
    response = ask(service, container=container, top_n=1)

    assert [result.index for result in response.results] == [0]
    assert ("top_n" in service.body) == (container == "cohere")


REPLIES = {
    "tei": [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.25}],
    "cohere": {
        "results": [{"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": 0}]
    },
    "pairs": {"scores": [0.5, 0.25]},
}


@pytest.mark.parametrize("container", REPLIES)
@pytest.mark.parametrize("other", REPLIES)
def test_the_reply_of_another_container_is_no_ranking(container: str, other: str) -> None:
    """It is never guessed at."""
    service = Service(REPLIES[other])
    if container == other:
        assert len(ask(service, container=container).results) == 2
        return
    with pytest.raises(ResponseParseError):
        ask(service, container=container)


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.4, 0.3], [], [0.5, None], None, "ab"])
def test_bare_scores_must_be_one_for_each_document(scores: Any) -> None:
    """They have no index, so that one too few says nothing about any."""
    with pytest.raises(ResponseParseError):
        ask(Service({"scores": scores}), container="pairs")


def test_the_request_s_id_is_read() -> None:
    """It is AWS's."""
    assert ask(Service(answer, headers={"x-amzn-requestid": "r-1"})).id == "r-1"


FAILED = {"Message": "what is wrong"}
ERRORS = [
    Failure(
        400, FAILED, ("what is wrong", "region"), headers={"x-amzn-errortype": "ValidationError"}
    ),
    Failure(
        403,
        FAILED,
        "sagemaker:InvokeEndpoint",
        headers={"x-amzn-errortype": "AccessDeniedException"},
    ),
    Failure(
        403,
        FAILED,
        "secret key, region or clock",
        kind=AuthenticationError,
        headers={"x-amzn-errortype": "InvalidSignatureException"},
    ),
    Failure(
        424, FAILED, ("what is wrong", "container="), headers={"x-amzn-errortype": "ModelError"}
    ),
    *(
        Failure(
            424,
            {"Message": f"Received {side} error ({status}) from primary with message odd"},
            ("odd", "container="),
            kind=kind,
            retried=kind in {RateLimitError, ServerError},
            headers={"x-amzn-errortype": "ModelError"},
        )
        for side, status, kind in (
            ("client", 422, BadRequestError),
            ("client", 429, RateLimitError),
            ("client", 404, NotFoundError),
            ("client", 408, ServerError),
            ("client", 424, ServerError),
            ("server", 503, ServerError),
        )
    ),
    Failure(
        400,
        FAILED,
        "what is wrong",
        kind=RateLimitError,
        retried=True,
        headers={"x-amzn-errortype": "ThrottlingException"},
    ),
    Failure(429, FAILED, "what is wrong", headers={"x-amzn-errortype": "ThrottlingException"}),
    Failure(503, FAILED, "what is wrong", headers={"x-amzn-errortype": "ServiceUnavailable"}),
]
test_errors_are_of_their_kind = failing(ask, "sagemaker/my-endpoint", ERRORS)
