"""OCI's RerankText, as Oracle's SDK and its users have it."""

from __future__ import annotations

import base64
import hashlib
import re
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import oci  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import rerank_oci
from failures import Failure, failing
from rerank_core import (
    ConfigurationError,
    MissingAPIKeyError,
    RequestTimeoutError,
    ServerError,
    TransportError,
)
from rerank_core.testing import CANARY, Case, Check, Example, conformance
from service import Send, Service, asking, both_ways, every_way, noting_waits, without_variables

if TYPE_CHECKING:
    import httpx

QUERY = "capital of France"
DOCUMENTS = ["Berlin is in Germany.", "Paris is the capital of France."]
MODEL = "cohere.rerank-v3.5"
URL = "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/20231130/actions/rerankText"
ENDPOINT = "ocid1.generativeaiendpoint.oc1.us-chicago-1.abc"
PLACE = {"oci_region": "us-chicago-1", "oci_compartment_id": "ocid1.compartment.oc1..c"}
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
USER = {
    "oci_user": "ocid1.user.oc1..u",
    "oci_tenancy": "ocid1.tenancy.oc1..t",
    "oci_fingerprint": "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34",
}
KEY_ID = "/".join([USER["oci_tenancy"], USER["oci_user"], USER["oci_fingerprint"]])
NAMES = ("USER", "TENANCY", "FINGERPRINT", "KEY_FILE", "REGION", "PROFILE", "CONFIG_FILE")
MORE = ("OCI_KEY", "OCI_CLI_KEY_CONTENT", "OCI_CLI_PASSPHRASE", "OCI_CLI_AUTH")


def reply(ranking: Any) -> dict[str, Any]:
    """A ranking as OCI writes it."""
    ranks = [{"index": at, "relevanceScore": score, "document": None} for at, score in ranking]
    return {"id": "r-1", "modelId": MODEL, "modelVersion": "1.0", "documentRanks": ranks}


def answer(asked: Any) -> dict[str, Any]:
    """Rank as sent."""
    count = asked.get("topN", len(asked["documents"]))
    return reply([(at, 0.9 - at / 1000) for at in range(count)])


ask = asking(f"oci/{MODEL}", query=QUERY, documents=DOCUMENTS, **PLACE, **USER, oci_key=PEM)
waits = noting_waits()
without_oci = without_variables(
    *(f"{start}_{name}" for start in ("OCI", "OCI_CLI") for name in NAMES),
    *MORE,
    "OCI_COMPARTMENT_ID",
    "OCI_API_BASE",
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without a configuration file of this machine's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".oci").mkdir()
    return tmp_path


CASE = Case(
    plugin=rerank_oci,
    model=MODEL,
    # The kit's key stands for what must never show: here it is a pass phrase, and what a signer
    # writes. To sign with a key takes a hundredfold of the time, and is tested below.
    options={
        "api_key": None,
        **PLACE,
        "oci_pass_phrase": CANARY,
        "oci_signer": lambda request: request.headers.update({"authorization": f"of {CANARY}"}),
    },
    example=Example(
        call={
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 1,
            "max_chunks_per_doc": 2,
            "max_tokens_per_doc": 512,
        },
        url=URL,
        json={
            "input": QUERY,
            "compartmentId": PLACE["oci_compartment_id"],
            "servingMode": {"servingType": "ON_DEMAND", "modelId": MODEL},
            "documents": DOCUMENTS,
            "topN": 1,
            "maxChunksPerDocument": 2,
            "maxTokensPerDocument": 512,
        },
        reply=reply([(1, 0.98)]),
        ranking=[(1, 0.98)],
        id="r-1",
    ),
    encode=lambda ranking, _, __: reply(ranking),
    encode_error=lambda message: {"code": "InvalidParameter", "message": message},
)


@conformance(CASE)
def test_conformance(check: Check) -> None:
    """The checks of the kit."""
    check()


def check_signed(request: httpx.Request, key_id: str = KEY_ID) -> None:
    """The signature is the key's, of what Oracle documents, as it was sent."""
    headers = request.headers
    found = re.fullmatch(
        r'Signature algorithm="rsa-sha256",headers="([^"]+)",keyId="([^"]+)",'
        r'signature="([^"]+)",version="1"',
        headers["authorization"],
    )
    assert found is not None, headers["authorization"]
    assert found[2] == key_id
    assert found[1].split() == [
        *("date", "(request-target)", "host"),
        *("content-length", "content-type", "x-content-sha256"),
    ]
    digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
    assert headers["x-content-sha256"] == digest
    assert headers["content-length"] == str(len(request.content))
    target = f"post {request.url.raw_path.decode()}"
    text = "\n".join(
        f"{name}: {target if name == '(request-target)' else headers[name]}"
        for name in found[1].split()
    )
    PRIVATE.public_key().verify(
        base64.b64decode(found[3]), text.encode(), padding.PKCS1v15(), hashes.SHA256()
    )


@every_way
def test_a_request_is_signed_as_it_is_sent(send: Send) -> None:
    """By Oracle's SDK; a public key says so."""
    service = Service(answer)
    ask(service, send=send, api_base="https://proxy.test/a?b=c")
    (request,) = service.requests

    assert str(request.url) == "https://proxy.test/a/20231130/actions/rerankText?b=c"
    check_signed(request)


@pytest.mark.usefixtures("waits")
@both_ways
def test_each_attempt_is_signed_anew(send: Send) -> None:
    """With a date of its own, and one date only."""
    service = Service({"code": "InternalServerError", "message": "oops"}, 500)
    with pytest.raises(ServerError):
        ask(service, send=send, max_retries=1)

    assert len(service.requests) == 2
    for request in service.requests:
        check_signed(request)
        assert len(request.headers.get_list("date")) == 1


def config(home: Path, name: str = "DEFAULT", **values: str) -> None:
    """Write a profile into the usual file."""
    (home / "key.pem").write_text(PEM)
    (home / "key.pem").chmod(0o600)
    lines = [f"[{name}]", *(f"{key}={value}" for key, value in values.items())]
    with (home / ".oci" / "config").open("a") as file:
        file.write("\n".join([*lines, ""]))
    (home / ".oci" / "config").chmod(0o600)


OF_FILE = {
    "user": USER["oci_user"],
    "tenancy": USER["oci_tenancy"],
    "fingerprint": USER["oci_fingerprint"],
}
NOTHING_GIVEN = dict.fromkeys([*USER, "oci_key", "oci_region"])


@every_way
@pytest.mark.parametrize("profile", ["DEFAULT", "other"])
def test_key_and_region_may_be_those_of_the_configuration_file(
    profile: str, home: Path, send: Send
) -> None:
    """Of the default profile or of another."""
    config(home, profile, **OF_FILE, key_file=str(home / "key.pem"), region="eu-frankfurt-1")
    service = Service(answer)
    chosen = {} if profile == "DEFAULT" else {"oci_profile": profile}
    ask(service, send=send, **NOTHING_GIVEN, **chosen)
    (request,) = service.requests

    assert request.url.host == "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
    check_signed(request)


@pytest.mark.parametrize("by", ["oci_config_file", "OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE"])
def test_the_configuration_file_may_lie_elsewhere(
    by: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key and region are its own then, and those of the usual file are not read."""
    config(home, **OF_FILE, key_file=str(home / "key.pem"), region="eu-frankfurt-1")
    other = (home / ".oci" / "config").rename(home / "elsewhere")
    config(home, user="nobody", region="us-ashburn-1")
    given = {by: str(other)} if by.islower() else {}
    if not given:
        monkeypatch.setenv(by, str(other))
    service = Service(answer)
    ask(service, **NOTHING_GIVEN, **given)
    (request,) = service.requests

    assert request.url.host == "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
    check_signed(request)


@both_ways
@pytest.mark.parametrize("chosen", [{}, {"oci_auth": "security_token"}])
def test_a_session_s_token_signs(chosen: dict[str, str], home: Path, send: Send) -> None:
    """As the command line makes it: a token and a key, and no user."""
    (home / "token").write_text("a-token\n")
    config(
        home,
        key_file=str(home / "key.pem"),
        security_token_file=str(home / "token"),
        tenancy=OF_FILE["tenancy"],
        fingerprint=OF_FILE["fingerprint"],
        region="us-chicago-1",
    )
    service = Service(answer)
    ask(service, send=send, **NOTHING_GIVEN, **chosen)

    check_signed(service.requests[0], "ST$a-token")


@both_ways
def test_a_signer_may_be_given(send: Send) -> None:
    """Any of Oracle's SDK, or one that is called as they are."""

    def signer(request: Any) -> None:
        assert (request.method, request.path_url) == ("POST", "/20231130/actions/rerankText")
        assert request.url == URL
        assert b"capital of France" in request.body
        request.headers["authorization"] = "signed"

    service = Service(answer)
    ask(service, send=send, oci_signer=signer, **dict.fromkeys([*USER, "oci_key"]))

    assert service.requests[0].headers["authorization"] == "signed"


def test_the_key_s_line_breaks_may_be_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand in a variable."""
    for name, value in USER.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("OCI_KEY", PEM.replace("\n", "\\n"))
    service = Service(answer)
    ask(service, **dict.fromkeys([*USER, "oci_key"]))

    check_signed(service.requests[0])


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("instance_principal", "InstancePrincipalsSecurityTokenSigner"),
        ("resource_principal", "get_resource_principals_signer"),
    ],
)
def test_a_principal_signs_where_it_is_asked_for(
    name: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever Oracle's SDK makes of the machine; it is asked once."""
    asked = []

    def make() -> Any:
        asked.append(made)
        return lambda request: request.headers.update({"authorization": made})

    monkeypatch.setattr(f"oci.auth.signers.{made}", make)
    service = Service(answer)
    ask(service, oci_auth=name, max_documents=1)

    assert [request.headers["authorization"] for request in service.requests] == [made, made]
    assert asked == [made]


def test_nothing_is_sent_after_a_slow_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says too late who it is: nothing is signed and sent then."""

    def make() -> Any:
        time.sleep(0.3)
        return lambda request: request.headers.update({"authorization": "late"})

    monkeypatch.setattr("oci.auth.signers.InstancePrincipalsSecurityTokenSigner", make)
    service = Service(answer)
    with pytest.raises(RequestTimeoutError):
        ask(service, oci_auth="instance_principal", deadline=0.1)
    time.sleep(0.4)

    assert service.requests == []


@both_ways
@pytest.mark.usefixtures("waits")
def test_a_machine_that_cannot_say_who_it_is_is_no_answer(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may pass, so that it is tried again."""
    asked = []

    def make() -> Any:
        asked.append(1)
        raise oci.exceptions.ConnectTimeout

    monkeypatch.setattr("oci.auth.signers.InstancePrincipalsSecurityTokenSigner", make)
    with pytest.raises(TransportError, match="does not answer"):
        ask(Service(answer), send=send, oci_auth="instance_principal", max_retries=1)

    assert len(asked) == 2


@every_way
@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (
            NOTHING_GIVEN | {"oci_region": "us-chicago-1"},
            MissingAPIKeyError,
            "nothing to sign with",
        ),
        ({"oci_user": None}, ConfigurationError, "incomplete: oci_user"),
        ({"oci_key": None}, ConfigurationError, "oci_key or oci_key_file"),
        ({"oci_key": "no key"}, ConfigurationError, "credentials cannot be used"),
        ({"oci_key": None, "oci_key_file": "/nowhere"}, ConfigurationError, "cannot be read"),
        ({"oci_auth": "magic"}, ConfigurationError, "oci_auth must be one of api_key"),
        ({"oci_signer": 5}, ConfigurationError, "oci_signer must be a signer"),
        ({"api_key": "a-key"}, ConfigurationError, "takes no API key"),
        ({"oci_compartment_id": None}, ConfigurationError, "no compartment"),
        ({"oci_region": None}, ConfigurationError, "no OCI region"),
        ({"oci_region": "a/b"}, ConfigurationError, "oci_region must be like"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused(
    options: Mapping[str, Any], kind: type[Exception], words: str, send: Send
) -> None:
    """Before it is sent, and without the key in a traceback."""
    service = Service(answer)
    with pytest.raises(kind, match=words) as caught:
        ask(service, send=send, **options)

    assert service.requests == []
    body = PEM.splitlines()[1]
    assert body not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("missing", ["user", "key_file"])
def test_an_incomplete_file_is_refused(missing: str, home: Path) -> None:
    """By Oracle's SDK, which says what is missing."""
    values = {**OF_FILE, "key_file": str(home / "key.pem"), "region": "us-chicago-1"}
    config(home, **{name: value for name, value in values.items() if name != missing})

    with pytest.raises(ConfigurationError, match=missing):
        ask(Service(answer), **NOTHING_GIVEN)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-chicago-1", "inference.generativeai.us-chicago-1.oci.oraclecloud.com"),
        ("uk-gov-london-1", "inference.generativeai.uk-gov-london-1.oci.oraclegovcloud.uk"),
    ],
)
def test_a_region_has_the_domain_of_its_realm(region: str, host: str) -> None:
    """As Oracle's SDK knows it."""
    service = Service(answer)
    ask(service, oci_region=region)

    assert service.requests[0].url.host == host


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({"oci_region": "us-chicago-1"}, "inference.generativeai.us-chicago-1.oci.oraclecloud.com"),
        ({"oci_region": None}, "variable.test"),
        ({"oci_region": "us-chicago-1", "api_base": "https://given.test"}, "given.test"),
    ],
    ids=["region", "neither", "both"],
)
def test_a_region_that_is_given_comes_before_a_variable(
    given: dict[str, str | None], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all that is given does; a base URL that is given says the most."""
    monkeypatch.setenv("OCI_API_BASE", "https://variable.test")
    monkeypatch.setenv("OCI_REGION", "eu-frankfurt-1")
    service = Service(answer)
    ask(service, **given)

    assert service.requests[0].url.host == host


def test_a_dedicated_endpoint_is_known_by_its_ocid() -> None:
    """It is served in another mode."""
    service = Service(answer)
    ask(service, model=f"oci/{ENDPOINT}")

    mode = {"servingType": "DEDICATED", "endpointId": ENDPOINT}
    assert service.body["servingMode"] == mode


@pytest.mark.parametrize(
    ("asked", "answered", "told"),
    [
        (MODEL, MODEL, False),
        (MODEL, "cohere.rerank-v4.0-fast", True),
        # By the OCID of an endpoint or of a model nobody knows its name.
        (MODEL, "ocid1.generativeaimodel.oc1.us-chicago-1.abc", False),
        (ENDPOINT, MODEL, False),
    ],
)
def test_another_model_than_was_asked_for_is_told(asked: str, answered: str, *, told: bool) -> None:
    """Its scores may be on another scale."""
    service = Service({**reply([(0, 0.5)]), "modelId": answered})
    response = ask(service, model=f"oci/{asked}", documents=DOCUMENTS[:1])

    assert [answered in warning for warning in response.warnings] == [True] * told


ERRORS = [
    Failure(400, {"code": "InvalidParameter", "message": "bad"}, "bad"),
    Failure(401, {"code": "NotAuthenticated", "message": "who?"}, ("who?", "fingerprint")),
    Failure(
        404, {"code": "NotAuthorizedOrNotFound", "message": "no"}, ("no", "generative-ai-family")
    ),
    Failure(429, {"code": "TooManyRequests", "message": "slow"}, "slow"),
    Failure(500, {"code": "InternalServerError", "message": "oops"}, "oops"),
]
test_errors_are_of_their_kind = failing(ask, f"oci/{MODEL}", ERRORS)
