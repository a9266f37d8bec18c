"""How requests to Bedrock are signed, with what, and where that is found."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from botocore import exceptions  # type: ignore[import-untyped]
from botocore.credentials import (  # type: ignore[import-untyped]
    Credentials,
    ReadOnlyCredentials,
    RefreshableCredentials,
)

from rerank_bedrock._auth import BedrockAuth
from rerank_core import (
    ConfigurationError,
    MissingAPIKeyError,
    RequestTimeoutError,
    Reranker,
    RerankResponse,
    ServerError,
    TransportError,
    rerank,
)
from rerank_core.auth import AuthOptions
from service import Send, Service, every_way, forget_credentials, in_turn, load

AMAZON = "amazon.rerank-v1:0"
VECTORS = load("bedrock-botocore-sigv4-vectors")["vectors"]
KEYS: dict[str, Any] = {
    "aws_access_key_id": "AKIDGIVEN",
    "aws_secret_access_key": "given-secret-key",
}
TOKEN = "session-token-0123456789"  # noqa: S105 - made up
BEARER = "bedrock-api-key-0123456789"
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKIDENV",
    "AWS_SECRET_ACCESS_KEY": "env-secret-key",
    "AWS_SESSION_TOKEN": TOKEN,
}
PROFILES = """
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = default-secret-key
[profile empty]
region = us-west-2
[profile other]
aws_access_key_id = AKIDOTHER
aws_secret_access_key = other-secret-key
[profile process]
credential_process = {python} -c "print('''{output}''')"
[profile broken]
credential_process = {python} -c "print('no JSON but given-secret-key')"
[profile failing]
credential_process = {python} -c "raise SystemExit('given-secret-key is refused')"
[profile sso]
sso_start_url = https://sso.test
sso_region = us-west-2
sso_account_id = 123456789012
sso_role_name = reader
"""
PROCESS = {
    "Version": 1,
    "AccessKeyId": "AKIDPROCESS",
    "SecretAccessKey": "process-secret-key",
    "SessionToken": "process-token",
}
FOREIGN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_REGION_NAME",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "BEDROCK_API_BASE",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no credential of this machine take part; the profiles' file is ours."""
    forget_credentials(monkeypatch)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A shared file with profiles of every kind."""
    output = json.dumps(PROCESS).replace('"', '\\"')
    path = tmp_path / "config"
    path.write_text(PROFILES.format(python=sys.executable, output=output))
    return path


def rank(asked: Any) -> dict[str, Any]:
    """Rank the documents as they were sent, in the words of the API that was asked."""
    score = "relevanceScore" if "sources" in asked else "relevance_score"
    count = len(asked.get("sources") or asked["documents"])
    return {"results": [{"index": at, score: 0.9 - at / 100} for at in range(count)]}


def authorization(service: Service) -> str:
    """The latest."""
    return str(service.requests[-1].headers["authorization"])


def access_key(service: Service) -> str:
    """The key that the latest request was signed with."""
    return authorization(service).partition("Credential=")[2].partition("/")[0]


def signature_of(request: httpx.Request, secret: str) -> str:
    """The signature by the recipe in AWS's documentation, from the request as it arrived."""
    _, _, rest = request.headers["authorization"].partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split(", "))
    _, day, region, service, end = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    path, _, query = request.url.raw_path.decode().partition("?")
    encoded = path.replace("%", "%25").replace(":", "%3A")
    headers = "".join(f"{name}:{request.headers[name]}\n" for name in names)
    payload = hashlib.sha256(request.content).hexdigest()
    canonical = "\n".join(["POST", encoded, query, headers, ";".join(names), payload])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    scope = f"{day}/{region}/{service}/{end}"
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for step in (day, region, service, end):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def ask(
    service: httpx.MockTransport, *, send: Send = rerank, model: str = AMAZON, **options: Any
) -> RerankResponse:
    """Ask for a ranking."""
    given = {"max_retries": 0, "http_client": service, **options}
    return send(f"bedrock/{model}", "query", ["Zürich", "東京"], **given)


# --- The signature -----------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("awaited", [False, True])
def test_known_requests_get_the_known_signature(
    vector: Any,
    awaited: bool,  # noqa: FBT001 - one of two ways
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The vectors that botocore made with its clock stopped."""
    stopped = datetime.strptime(vector["amz_date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    clock = type("Clock", (), {"now": staticmethod(lambda _: stopped)})
    monkeypatch.setattr("rerank_bedrock._auth.datetime", clock)
    options = {
        "aws_access_key_id": vector["access_key"],
        "aws_secret_access_key": vector["secret_key"],
        "aws_session_token": vector["session_token"],
        "aws_region_name": vector["region"],
    }
    auth = BedrockAuth(None, AuthOptions(options, options), chosen=True)
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    async def post() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), auth=auth) as client:
            await client.post(vector["url"], content=vector["body"], headers=vector["headers_in"])

    if awaited:
        asyncio.run(post())
    else:
        with httpx.Client(transport=httpx.MockTransport(answer), auth=auth) as client:
            client.post(vector["url"], content=vector["body"], headers=vector["headers_in"])

    assert {name: sent[0].headers.get(name) for name in vector["headers_out"]} == vector[
        "headers_out"
    ]
    assert str(sent[0].url) == vector["url"]
    assert sent[0].content == vector["body"].encode()


@every_way
@pytest.mark.parametrize("model", [AMAZON, f"invoke/{AMAZON}", f"invoke/arn:aws:a:b:c/{AMAZON}"])
@pytest.mark.parametrize("options", [{}, {"aws_session_token": TOKEN}], ids=["long", "temporary"])
@pytest.mark.parametrize("base", [None, "http://127.0.0.1:4566/a?b=2"])
def test_what_is_sent_is_what_was_signed(
    send: Send, model: str, options: dict[str, Any], base: str | None
) -> None:
    """Checked by another hand: the URL as it arrives, the host, the bytes of the body."""
    service = Service(rank)

    ask(service, send=send, model=model, api_base=base, **KEYS, **options)

    request = service.requests[0]
    assert authorization(service).endswith(signature_of(request, "given-secret-key"))
    assert request.headers.get("x-amz-security-token") == options.get("aws_session_token")
    assert "x-amz-content-sha256" not in request.headers


def test_every_attempt_is_signed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature is good for minutes; a retry may come later."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    times = iter(datetime(2026, 1, 2, 3, 4, at, tzinfo=UTC) for at in range(3))
    clock = type("Clock", (), {"now": staticmethod(lambda _: next(times))})
    monkeypatch.setattr("rerank_bedrock._auth.datetime", clock)
    service = Service(in_turn(httpx.Response(500, json={}), httpx.Response(503, json={}), rank))

    ask(service, max_retries=2, **KEYS)

    dates = [request.headers["x-amz-date"] for request in service.requests]
    assert dates == ["20260102T030400Z", "20260102T030401Z", "20260102T030402Z"]
    assert len({request.headers["authorization"] for request in service.requests}) == 3
    for request in service.requests:
        signature = signature_of(request, "given-secret-key")
        assert request.headers["authorization"].endswith(signature)


def test_a_client_with_authentication_of_its_own_keeps_it() -> None:
    """And so does a header of the caller's; nothing is looked for."""
    service = Service(rank)
    with httpx.Client(transport=service, auth=("user", "word")) as client:
        rerank("bedrock/" + AMAZON, "query", ["a"], http_client=client)
    ask(service, extra_headers={"Authorization": "Custom 1"})

    found = [request.headers["authorization"] for request in service.requests]
    assert found == ["Basic dXNlcjp3b3Jk", "Custom 1"]


# --- Where credentials are found ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "options", "key", "token"),
    [
        (VARIABLES, KEYS, "AKIDGIVEN", None),
        (VARIABLES, {**KEYS, "aws_session_token": "mine"}, "AKIDGIVEN", "mine"),
        (VARIABLES, {"aws_profile_name": "other"}, "AKIDOTHER", None),
        (VARIABLES, {**KEYS, "aws_profile_name": "other"}, "AKIDGIVEN", None),
        (VARIABLES, {**KEYS, "aws_access_key_id": "AKIDENV"}, "AKIDENV", None),
        (VARIABLES, {}, "AKIDENV", TOKEN),
        ({**VARIABLES, "AWS_PROFILE": "other"}, {}, "AKIDENV", TOKEN),
        ({"AWS_PROFILE": "other"}, {}, "AKIDOTHER", None),
        ({"AWS_DEFAULT_PROFILE": "other"}, {}, "AKIDOTHER", None),
        ({}, {}, "AKIDDEFAULT", None),
        ({}, {"aws_profile_name": "process"}, "AKIDPROCESS", "process-token"),
    ],
)
@pytest.mark.usefixtures("profiles")
def test_credentials_are_looked_for_in_order(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    options: dict[str, Any],
    key: str,
    token: str | None,
) -> None:
    """Options, variables, profile; never a part of one with a part of another."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = Service(rank)

    ask(service, **options)

    assert access_key(service) == key
    assert service.requests[0].headers.get("x-amz-security-token") == token


class Loopback(ThreadingHTTPServer):
    """Stands in for the services that hand out credentials."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Loopback

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        until = f"{datetime.now(UTC) + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}"
        temporary = {
            "Code": "Success",
            "AccessKeyId": "AKIDROLE",
            "SecretAccessKey": "role-secret-key",
            "Token": "role-token",
            "Expiration": until,
        }
        assumed = (
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            "<AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>role-secret-key</SecretAccessKey>"
            f"<SessionToken>role-token</SessionToken><Expiration>{until}</Expiration></Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
        body = {
            "/latest/api/token": "metadata-token",
            "/latest/meta-data/iam/security-credentials/": "some-role",
            "/": assumed,
        }.get(self.path, json.dumps(temporary))
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Print nothing."""


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """The stand-in, for one test."""
    with Loopback() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@every_way
@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/role"}, "GET /role"),
        (
            {
                "AWS_WEB_IDENTITY_TOKEN_FILE": "{file}",
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/reader",
                "AWS_ENDPOINT_URL_STS": "{url}",
            },
            "POST /",
        ),
        (
            {
                "AWS_EC2_METADATA_DISABLED": "false",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{url}",
            },
            "GET /latest/meta-data/iam/security-credentials/some-role",
        ),
    ],
    ids=["container", "web-identity", "instance"],
)
def test_roles_are_taken_on(
    send: Send,
    variables: Mapping[str, str],
    asked: str,
    loopback: Loopback,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A container's, a web identity's, an instance's; by real requests to a stand-in."""
    file = tmp_path / "identity"
    file.write_text("an-identity")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(url=loopback.url, file=file))
    service = Service(rank)

    ask(service, send=send)

    assert access_key(service) == "AKIDROLE"
    assert service.requests[0].headers["x-amz-security-token"] == "role-token"
    assert loopback.asked[-1] == asked


@every_way
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, MissingAPIKeyError, ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "bedrock/invoke/<model>")),
        ({"aws_access_key_id": "AKID"}, ConfigurationError, ("belong together",)),
        ({"aws_secret_access_key": "given-secret-key"}, ConfigurationError, ("belong together",)),
        ({"aws_session_token": TOKEN}, MissingAPIKeyError, ("no AWS credentials",)),
        ({"aws_profile_name": "nobody"}, ConfigurationError, ("nobody", "could not be found")),
        ({**KEYS, "aws_session_token": "two\nlines"}, ConfigurationError, ("cannot stand",)),
        ({**KEYS, "aws_access_key_id": "ÄKID"}, ConfigurationError, ("cannot stand",)),
        *(
            ({**KEYS, name: value}, ConfigurationError, (f"{name} must be a string, not {kind}",))
            for name in (*KEYS, "aws_session_token", "aws_bearer_token")
            for value, kind in ((TOKEN.encode(), "bytes"), (7, "int"))
        ),
    ],
)
def test_credentials_that_cannot_work_are_refused(
    send: Send, options: dict[str, Any], kind: type[Exception], words: tuple[str, ...]
) -> None:
    """With what to do, before anything is sent, and without a secret."""
    service = Service(rank)

    with pytest.raises(ConfigurationError) as caught:
        ask(service, send=send, **options)

    assert type(caught.value) is kind
    assert all(word in str(caught.value) for word in words)
    assert service.requests == []
    shown = "".join(traceback.format_exception(caught.value))
    assert "given-secret-key" not in shown
    assert TOKEN not in shown


def errors_behind(error: BaseException | None) -> Iterator[BaseException]:
    """All that a tool finds that follows causes and contexts, shown or not."""
    while error := error and (error.__cause__ or error.__context__):
        yield error


def text_of(error: BaseException) -> str:
    """What an error says, and what it has."""
    return f"{error} {vars(error)} {getattr(error, 'doc', '')}"


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("broken", "cannot be read (JSONDecodeError)"),
        ("failing", "CredentialRetrievalError (custom-process)"),
        ("sso", "SSO"),
    ],
)
@pytest.mark.usefixtures("profiles")
def test_a_profile_that_fails_says_why(profile: str, words: str) -> None:
    """But nothing of what its program printed."""
    with pytest.raises(ConfigurationError) as caught:
        ask(Service(rank), aws_profile_name=profile)

    assert words in str(caught.value)
    assert "given-secret-key" not in "".join(traceback.format_exception(caught.value))
    assert not any("given-secret-key" in text_of(behind) for behind in errors_behind(caught.value))


def test_a_service_that_fails_with_credentials_shows_none(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although botocore quotes the whole of its reply."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{loopback.url}/broken")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)

    with pytest.raises(ConfigurationError, match=r"CredentialRetrievalError \(container") as caught:
        ask(Service(rank))

    assert "GET /broken" in loopback.asked
    assert "role-secret-key" not in "".join(traceback.format_exception(caught.value))
    assert not any("role-secret-key" in text_of(behind) for behind in errors_behind(caught.value))


def test_a_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    """Also where only the region is looked for."""
    (tmp_path / "config").write_text("no profile\n")

    with pytest.raises(ConfigurationError, match="AWS credentials could not be obtained"):
        ask(Service(rank), aws_region_name="us-west-2")


def test_a_silent_service_of_credentials_may_answer_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked again, as Bedrock itself would be."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    answers: Iterator[Any] = iter([exceptions.ConnectTimeoutError(endpoint_url="http://sts")])

    def load(*_: Any, **__: Any) -> Any:
        for error in answers:
            raise error
        return Credentials("AKIDLATE", "late-secret-key")

    monkeypatch.setattr("botocore.session.Session.get_credentials", load)
    service = Service(rank)

    with pytest.raises(TransportError, match="does not answer"):
        ask(service)
    ask(service)
    answers = iter([exceptions.EndpointConnectionError(endpoint_url="http://sts")])
    ask(service, max_retries=1)

    assert access_key(service) == "AKIDLATE"


# --- Keeping and renewing them -----------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True], ids=["transport", "client"])
def test_nothing_is_sent_after_a_slow_look_up(tmp_path: Path, *, own: bool) -> None:
    """A program of credentials that ends behind the deadline: nothing is signed and sent then."""
    printed = json.dumps(PROCESS).replace('"', '\\"')
    program = f"import time; time.sleep(0.5); print('''{printed}''')"
    profile = f'[profile slow]\ncredential_process = {sys.executable} -c "{program}"\n'
    (tmp_path / "config").write_text(profile)
    service = Service(rank)
    client: Any = httpx.Client(transport=service) if own else service
    with pytest.raises(RequestTimeoutError):
        ask(client, aws_profile_name="slow", deadline=0.3)
    time.sleep(0.7)

    assert service.requests == []
    assert ask(client, aws_profile_name="slow").reranked


@pytest.fixture
def loaded_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that credentials were loaded in."""
    threads: list[str] = []

    def load(*_: Any, **__: Any) -> Any:
        threads.append(threading.current_thread().name)
        time.sleep(0.01)
        return Credentials("AKIDLOADED", "loaded-secret-key")

    monkeypatch.setattr("rerank_bedrock._auth.load_credentials", load)
    return threads


def test_credentials_are_kept(loaded_in: list[str]) -> None:
    """Threads that ask at once may each load them, for a lock would not survive a fork."""
    with Reranker(f"bedrock/{AMAZON}", http_client=Service(rank)) as reranker:
        threads = [
            threading.Thread(target=reranker.rerank, args=("query", ["a"])) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        loaded = len(loaded_in)
        reranker.rerank("query", ["a"])

    assert 1 <= loaded <= 5
    assert len(loaded_in) == loaded


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_credentials_are_not_loaded_in_the_event_loop(run: Any, loaded_in: list[str]) -> None:
    """Files and services take their time; later calls need no thread."""

    async def main() -> None:
        async with Reranker(f"bedrock/{AMAZON}", http_client=Service(rank)) as reranker:
            await reranker.arerank("query", ["a"])
            await reranker.arerank("query", ["a"])

    run(main) if run is trio.run else run(main())

    assert len(loaded_in) == 1
    assert loaded_in[0] != threading.current_thread().name


@pytest.mark.parametrize("awaited", [False, True])
def test_temporary_credentials_are_renewed_before_they_expire(
    awaited: bool,  # noqa: FBT001 - one of two ways
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By botocore, and not in the event loop."""
    made: list[str] = []

    def renew() -> dict[str, str]:
        made.append(threading.current_thread().name)
        until = datetime.now(UTC) + timedelta(minutes=1 if len(made) == 1 else 60)
        key = f"AKID{len(made)}"
        expiry = until.isoformat()
        return {"access_key": key, "secret_key": "x", "token": "t", "expiry_time": expiry}

    def load(*_: Any, **__: Any) -> Any:
        return RefreshableCredentials.create_from_metadata(renew(), renew, "test")

    monkeypatch.setattr("rerank_bedrock._auth.load_credentials", load)
    service = Service(rank)

    async def main() -> None:
        async with Reranker(f"bedrock/{AMAZON}", http_client=service) as reranker:
            await reranker.arerank("query", ["a"])
            await reranker.arerank("query", ["a"])

    if awaited:
        asyncio.run(main())
        assert threading.current_thread().name not in made
    else:
        with Reranker(f"bedrock/{AMAZON}", http_client=service) as reranker:
            reranker.rerank("query", ["a"])
            reranker.rerank("query", ["a"])

    assert len(made) == 2
    assert access_key(service) == "AKID2"


def test_a_renewal_that_fails_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The renewal of an SSO session that has ended, for example."""

    class Ended:
        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            raise exceptions.UnauthorizedSSOTokenError

    monkeypatch.setattr("rerank_bedrock._auth.load_credentials", lambda *_, **__: Ended())

    with pytest.raises(ConfigurationError, match="sso login"):
        ask(Service(rank))


def test_a_change_of_the_environment_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rerank` makes a new `Reranker` where credentials, profile or region change."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    for name in (*VARIABLES, "AWS_PROFILE", "AWS_REGION", "AWS_BEARER_TOKEN_BEDROCK"):
        with Reranker(f"bedrock/{AMAZON}") as reranker, monkeypatch.context() as context:
            assert reranker.is_current()
            context.setenv(name, "another")

            assert not reranker.is_current()


# --- API keys ----------------------------------------------------------------------------------

ENV_KEY = {"AWS_BEARER_TOKEN_BEDROCK": "env-key"}
TO_RERANK, TO_INVOKE = "/rerank", f"/model/{AMAZON}/invoke"


@every_way
@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("variables", "options", "path", "bearer"),
    [
        # The caller's key chooses InvokeModel, whatever else there is.
        ({}, {"api_key": BEARER}, TO_INVOKE, BEARER),
        (VARIABLES, {"api_key": BEARER}, TO_INVOKE, BEARER),
        ({}, {"api_key": "ABSKkey"}, TO_INVOKE, "ABSKkey"),
        ({}, {"api_key": "another-kind", "route": "invoke"}, TO_INVOKE, "another-kind"),
        # One from the environment does where there is nothing else, or where it is asked for.
        (ENV_KEY | {"AWS_PROFILE": "empty"}, {}, TO_INVOKE, "env-key"),
        (ENV_KEY | VARIABLES, {}, TO_RERANK, None),
        (ENV_KEY | VARIABLES, {"route": "invoke"}, TO_INVOKE, "env-key"),
        (ENV_KEY | VARIABLES, {"api_key": BEARER}, TO_INVOKE, BEARER),
        # Whoever gives credentials means them.
        (ENV_KEY, KEYS, TO_RERANK, None),
        (ENV_KEY, {**KEYS, "route": "invoke"}, TO_INVOKE, None),
        (ENV_KEY, {"aws_profile_name": "other"}, TO_RERANK, None),
        ({}, {"aws_profile_name": "other", "aws_bearer_token": "my-key"}, TO_RERANK, None),
        ({}, {**KEYS, "aws_bearer_token": "my-key", "route": "invoke"}, TO_INVOKE, "my-key"),
    ],
)
def test_an_api_key_goes_to_invoke_model(
    send: Send,
    variables: dict[str, str],
    options: dict[str, Any],
    path: str,
    bearer: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nowhere else; there it comes before credentials, as by AWS's own SDKs."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = Service(rank)

    ask(service, send=send, **options)

    assert service.requests[0].url.path == path
    if bearer:
        assert authorization(service) == f"Bearer {bearer}"
        assert "x-amz-date" not in service.requests[0].headers
    else:
        assert authorization(service).startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize(
    ("variables", "profile", "path"),
    [
        ({}, "", TO_INVOKE),
        ({}, "[default]\nregion = us-west-2\n", TO_INVOKE),
        ({}, "[profile other]\naws_access_key_id = AKID\n", TO_INVOKE),
        ({"AWS_EC2_METADATA_DISABLED": "false"}, "", TO_INVOKE),
        ({}, "[default]\naws_access_key_id = A\naws_secret_access_key = b\n", TO_RERANK),
        ({}, "[default]\ncredential_process = /bin/false\n", TO_RERANK),
        ({}, "[default]\nlogin_session = arn:aws:iam::123456789012:user/me\n", TO_RERANK),
        ({}, "[default]\nrole_arn = arn:aws:iam::123456789012:role/reader\n", TO_RERANK),
        ({}, "[default]\nsso_session = mine\n", TO_RERANK),
        ({}, "[default]\nsso_start_url = https://sso.test\n", TO_RERANK),
        ({"AWS_PROFILE": "other"}, PROFILES, TO_RERANK),
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/role"}, "", TO_RERANK),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9"}, "", TO_RERANK),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/identity"}, "", TO_RERANK),
    ],
)
def test_an_api_key_from_the_environment_chooses_where_it_is_alone(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    profile: str,
    path: str,
) -> None:
    """Nothing is asked over the network for that."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "env-key")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config").write_text(profile)
    loaded = Credentials("AKID", "secret")
    monkeypatch.setattr("rerank_bedrock._auth.load_credentials", lambda *_, **__: loaded)
    service = Service(rank)

    ask(service)

    assert service.requests[0].url.path == path


@every_way
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_key": BEARER, "route": "rerank"}, "takes no API key"),
        ({"api_key": "another-kind", **KEYS}, "takes no API key"),
        ({"api_key": BEARER, "route": "invoke", "api_base": "http://proxy.test"}, "https only"),
        ({"aws_bearer_token": "two\nlines", "route": "invoke"}, "cannot stand in a header"),
        ({"aws_bearer_token": "Schlüssel", "route": "invoke"}, "cannot stand in a header"),
    ],
)
def test_an_api_key_that_cannot_be_sent_is_refused(
    send: Send, options: dict[str, Any], words: str
) -> None:
    """Rather than ignored, or shown to whoever listens."""
    service = Service(rank)

    with pytest.raises(ConfigurationError, match=words) as caught:
        ask(service, send=send, **options)

    assert service.requests == []
    assert BEARER not in "".join(traceback.format_exception(caught.value))


def test_an_api_key_may_go_to_this_machine_without_tls() -> None:
    """For a proxy or a test server on loopback."""
    service = Service(rank)

    ask(service, api_key="a-key", route="invoke", api_base="http://127.0.0.1:4566")

    assert authorization(service) == "Bearer a-key"


def test_an_api_key_needs_no_region_where_the_base_url_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is nothing to sign."""
    monkeypatch.delenv("AWS_REGION")
    service = Service(rank)

    ask(service, model=f"invoke/{AMAZON}", api_key="a-key", api_base="https://proxy.test")

    assert service.requests[0].url.host == "proxy.test"


# --- Secrets -----------------------------------------------------------------------------------


def test_nothing_secret_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even in botocore's debug log, where the token would stand with all that is signed."""
    caplog.set_level(logging.DEBUG)
    secrets = ("given-secret-key", TOKEN, BEARER)
    options = {**KEYS, "aws_session_token": TOKEN}
    auth = BedrockAuth(BEARER, AuthOptions(options, options), chosen=True)
    service = Service(in_turn(rank, httpx.Response(500, json={})))
    with Reranker(
        f"bedrock/{AMAZON}",
        http_client=service,
        max_retries=0,
        aws_session_token=TOKEN,
        aws_bearer_token=BEARER,
        **KEYS,
    ) as reranker:
        response = reranker.rerank("query", ["a"])
        with pytest.raises(ServerError) as caught:
            reranker.rerank("query", ["a"])

    shown = [repr(auth), repr(reranker), repr(reranker.facts), repr(response), caplog.text]
    shown += traceback.format_exception(caught.value)
    assert not [text for text in shown for secret in secrets if secret in text]
