"""What Bedrock's errors mean, by their names and their words.

https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

from collections.abc import Mapping

from rerank_core import APIStatusError, AuthenticationError, RateLimitError

ERROR_TYPES: Mapping[int | str, type[APIStatusError]] = {
    # 403 all of them: these are about who asks, not about what they may.
    **dict.fromkeys(
        (
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "UnrecognizedClientException",
        ),
        AuthenticationError,
    ),
    # Of all services at once, with status 400; of one operation, with 429.
    "ThrottlingException": RateLimitError,
    "invalid api key": AuthenticationError,  # with status 403, and without a name
}
SIGNATURE_HINTS: Mapping[int | str, str] = {
    "ExpiredTokenException": "get new temporary credentials",
    "InvalidSignatureException": "a wrong secret key, region or clock",
    "UnrecognizedClientException": "AWS does not know this access key in this region",
}
_OFFERED = (
    "if it is about the model: it is offered in ap-northeast-1, ca-central-1, eu-central-1 and"
    " us-west-2; cohere.rerank-v3-5:0 in us-east-1 too, amazon.rerank-v1:0 not"
)
HINTS: Mapping[int | str, str] = {
    "AccessDeniedException": "the Rerank operation needs both bedrock:Rerank and"
    " bedrock:InvokeModel, and the account access to the model; for Cohere's also"
    " aws-marketplace:ViewSubscriptions and aws-marketplace:Subscribe",
    **SIGNATURE_HINTS,
    "ResourceNotFoundException": _OFFERED,
    "required key [api_version]": "give extra_body={'api_version': 2}",
    "/api_version: 1 is not": "give extra_body={'api_version': 2}",
    "extraneous key [api_version]": "this model takes no api_version: leave it out of extra_body=",
    "invalid api key": "api_key= or AWS_BEARER_TOKEN_BEDROCK must be a whole key of Bedrock's",
    "access to the model": "ask for access to the model, in this region, on Bedrock's console",
    "ValidationException": _OFFERED,
}
