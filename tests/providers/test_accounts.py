"""Where to and as whom: headers of the caller's, base URLs, variables that are watched."""

from __future__ import annotations

import pytest

from rerank_core import APIKeyHeader, ConfigurationError, Reranker
from service import Service

from .plugins import ALL, BY_NAME, Plugin

OF_AWS = (
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
# What the SDKs' own chains of credentials read, beside what an option of the plugin has.
WATCHED = {
    "azure_ai": ("AZURE_CONFIG_DIR", "AZURE_FEDERATED_TOKEN_FILE"),
    "bedrock": OF_AWS,
    "oci": ("OCI_CLI_CONFIG_FILE",),
    "sagemaker": OF_AWS,
    "vertex_ai": ("CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS"),
}
# The others sign with what is no header, or have an identity in their case's options.
SIGNED_BY_A_HEADER = [
    plugin
    for plugin in ALL
    if isinstance(plugin.facts.auth, APIKeyHeader) or plugin.name in {"azure_ai", "watsonx"}
]


@pytest.mark.parametrize("plugin", SIGNED_BY_A_HEADER, ids=lambda plugin: plugin.name)
def test_a_header_of_the_caller_s_takes_the_place_of_the_key(plugin: Plugin) -> None:
    """No key is needed then, and none is sent."""
    service, auth = Service(plugin.reply()), plugin.facts.auth
    header = auth.header if isinstance(auth, APIKeyHeader) else "Authorization"

    plugin.ask(service, api_key=None, extra_headers={header: "my own"})

    assert [request.headers[header] for request in service.requests] == ["my own"]


@pytest.mark.parametrize(
    "plugin",
    [plugin for plugin in ALL if plugin.facts.base_url_required],
    ids=lambda plugin: plugin.name,
)
def test_without_a_base_url_nothing_is_sent(plugin: Plugin) -> None:
    """Where there is none for everybody; the error names the variables."""
    service = Service(plugin.reply())
    with pytest.raises(ConfigurationError) as caught:
        plugin.ask(service, api_base=None)

    assert [name for name in plugin.facts.base_url_env[:2] if name not in str(caught.value)] == []
    assert service.requests == []


@pytest.mark.parametrize(
    ("name", "variable"),
    [(name, variable) for name, variables in WATCHED.items() for variable in variables],
)
def test_a_variable_that_leads_to_credentials_is_watched(
    name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rerank` would keep asking with those of the old account."""
    plugin = BY_NAME[name]
    monkeypatch.delenv(variable, raising=False)
    reranker = Reranker(f"{name}/{plugin.case.model}", **plugin.case.options)
    assert reranker.is_current()

    monkeypatch.setenv(variable, "another")

    assert not reranker.is_current()
