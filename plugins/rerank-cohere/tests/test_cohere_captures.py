"""What others were seen to send to Cohere, beside what this project sends for the same call."""

from __future__ import annotations

from typing import Any

import pytest

from service import (
    NOTHING,
    Difference,
    captures,
    check_both_functions,
    load,
    on_the_wire,
    without_variables,
)

NAMES = (
    "cohere-cohere-v1-full",
    "cohere-cohere-v1-minimal",
    "cohere-cohere-v2-extra-body",
    "cohere-cohere-v2-full",
    "cohere-cohere-v2-minimal",
    "cohere-cohere-v2-none-values",
    "cohere-cohere-v2-relevant-spans-minimal",
    "cohere-litellm-default",
    "cohere-litellm-full-v2",
    "cohere-litellm-v1-by-chunks",
)
DIFFERENCES: tuple[Difference, ...] = (
    (
        "headers.accept",
        "application/json",
        "nothing else can be read; the SDKs take their client's default",
        (
            "cohere-cohere-v1-full",
            "cohere-cohere-v1-minimal",
            "cohere-cohere-v2-extra-body",
            "cohere-cohere-v2-full",
            "cohere-cohere-v2-minimal",
            "cohere-cohere-v2-none-values",
            "cohere-cohere-v2-relevant-spans-minimal",
        ),
    ),
    (
        "json.return_documents",
        NOTHING,
        "core attaches the caller's own documents: asking for them back pays for them twice",
        (
            "cohere-cohere-v1-full",
            "cohere-litellm-default",
            "cohere-litellm-full-v2",
            "cohere-litellm-v1-by-chunks",
        ),
    ),
    (
        "json.model",
        "rerank-v3.5",
        "a model is always named, so that the service's default cannot change the ranking",
        ("cohere-cohere-v1-minimal",),
    ),
    (
        "json.top_n",
        NOTHING,
        "None is the same as not given, and what was not asked for is not sent",
        ("cohere-cohere-v2-none-values",),
    ),
    (
        "json.documents",
        [
            "title: Paris\ntext: Paris is the capital of France.",
            "title: Berlin\ntext: Berlin is in Germany.",
        ],
        "v2 takes only strings: mappings are rendered, by rank_fields",
        ("cohere-litellm-full-v2",),
    ),
    (
        "json.rank_fields",
        NOTHING,
        "honoured by rendering; the service does not know it",
        ("cohere-litellm-full-v2",),
    ),
    (
        "json.priority",
        5,
        "litellm loses parameters that only the provider knows",
        ("cohere-litellm-full-v2",),
    ),
)


def same_call(name: str) -> dict[str, Any]:
    """The captured call, in this project's words."""
    call = load(name)["call"]
    asked = dict(call.get("kwargs", call))
    client = call.get("client", "")
    if not client:
        return asked
    options = asked.pop("request_options", {})
    return {
        **asked,
        "model": f"cohere/{asked.get('model', 'rerank-v3.5')}",
        "api_key": "test-key",
        "api_base": "http://127.0.0.1:PORT",
        "api_version": "v2" if "V2" in client else "v1",
        "client_name": "my-project" if "client_name='my-project'" in client else None,
        "extra_body": options.get("additional_body_parameters"),
        "extra_headers": options.get("additional_headers"),
    }


CALLS = {name: same_call(name) for name in NAMES}

bare_environment = without_variables(of="cohere")


test_what_others_send_is_sent = captures("cohere", CALLS, DIFFERENCES, on_the_wire)


@pytest.mark.parametrize("name", CALLS)
def test_both_functions_send_the_same_bytes_and_attach_the_caller_s_documents(name: str) -> None:
    """`arerank` differs in nothing but `await`."""
    check_both_functions(CALLS[name])
