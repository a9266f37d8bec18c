"""Proxies that the environment names, and the certificates that it trusts.

Each call is made by a program of its own: both are read when the first connection is opened.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.conftest import KEY, RANKING, WAYS
from tools.proxy import Proxy, proxying

TESTS = Path(__file__).parents[1]
PROGRAM = """
import sys, warnings
from tools.conftest import DOCUMENTS, KEY, WAYS, order
way, base = sys.argv[1:]
response = WAYS[way](query="q", documents=DOCUMENTS, api_base=base, api_key=KEY, max_retries=0)
print(order(response))
"""
USER = "someone:secret-of-the-proxy@"
BASIC = "Basic " + base64.b64encode(USER[:-1].encode()).decode()
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
every_way = pytest.mark.parametrize("way", [*WAYS])


def run(way: str, base: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A call, made where only these variables speak of proxies."""
    names = {*VARIABLES, *map(str.lower, VARIABLES)}
    environment = {name: text for name, text in os.environ.items() if name not in names}
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-W", "error", "-c", PROGRAM, way, base],
        env={**environment, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
@every_way
@pytest.mark.parametrize("user", ["", USER], ids=["plain", "credentials"])
def test_http_goes_through_its_proxy(way: str, user: str, certificate: Path) -> None:
    """With the whole URL in the request line, and the variable's credentials in a header."""
    with proxying(RANKING, certificate) as proxy:
        done = run(way, "http://rerank.invalid", HTTP_PROXY=proxy.address(user))
        (request,) = proxy.passed

    assert done.stdout == "[1, 2, 0]\n", done.stderr
    assert request.target == "http://rerank.invalid/v2/rerank"
    assert request.headers.get("proxy-authorization", "") == (BASIC if user else "")
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.slow
@every_way
@pytest.mark.parametrize("user", ["", USER], ids=["plain", "credentials"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_https_goes_through_a_tunnel(way: str, user: str, variable: str, certificate: Path) -> None:
    """The proxy gets the host and its own credentials; the key goes only inside, over TLS."""
    with proxying(RANKING, certificate) as proxy:
        target = "127.0.0.1:9443"  # whoever is there is behind the proxy
        variables = {variable: proxy.address(user), "SSL_CERT_FILE": str(certificate)}
        done = run(way, f"https://{target}", **variables)
        connect, inside = proxy.passed

    assert done.stdout == "[1, 2, 0]\n", done.stderr
    assert (connect.method, connect.target) == ("CONNECT", target)
    assert connect.headers.get("proxy-authorization", "") == (BASIC if user else "")
    assert "authorization" not in connect.headers
    assert (inside.method, inside.target) == ("POST", "/v2/rerank")
    assert "proxy-authorization" not in inside.headers
    assert inside.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.slow
@every_way
def test_a_proxy_that_shows_the_wrong_certificate_gets_no_key(way: str, certificate: Path) -> None:
    """TLS is verified inside the tunnel, too; the proxy's password is in no text."""
    with proxying(RANKING, certificate) as proxy:
        done = run(way, "https://127.0.0.1:9443", HTTPS_PROXY=proxy.address(USER))
        methods = [request.method for request in proxy.passed]

    assert done.returncode
    assert "TransportError" in done.stderr.splitlines()[-1]
    assert methods == ["CONNECT"]
    assert KEY not in done.stderr
    assert "secret-of-the-proxy" not in done.stderr


@pytest.mark.slow
@every_way
def test_what_the_environment_excepts_goes_directly(way: str, certificate: Path) -> None:
    """`NO_PROXY` names a host: it is asked itself."""
    with proxying(RANKING, certificate) as proxy, proxying(RANKING, certificate) as service:
        direct: Proxy = service
        done = run(way, direct.address(), HTTP_PROXY=proxy.address(), NO_PROXY="127.0.0.1")
        seen, passed = [request.target for request in direct.passed], proxy.passed

    assert done.stdout == "[1, 2, 0]\n", done.stderr
    assert seen == ["/v2/rerank"]
    assert passed == []
