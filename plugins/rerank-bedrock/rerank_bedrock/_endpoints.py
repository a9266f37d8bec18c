"""Which of Bedrock's two APIs a call goes to, and where that is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from attrs import frozen

from rerank_core import (
    ConfigurationError,
    Provider,
    RerankRequest,
    wire,
)

RERANK_BASE = "https://bedrock-agent-runtime.{region}.amazonaws.com"
INVOKE_BASE = "https://bedrock-runtime.{region}.amazonaws.com"
SERVICES = {"rerank": "bedrock-agent-runtime", "invoke": "bedrock-runtime"}
ARN = re.compile(r"arn:[^:]+:bedrock:([^:]+):[^:]*:(.+)")
# By botocore's list of partitions: the beginning of a region's name, the partition, its domain
# and the one for both kinds of IP address.
_PARTITIONS = (
    ("cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com", "api.aws"),
    ("us-iso-", "aws-iso", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("eusc-", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("", "aws", "amazonaws.com", "api.aws"),
)
_REGION = r"[a-z]+(?:-[a-z]+)+-\d+"
_DOMAIN = f"(?:{'|'.join({re.escape(name): 0 for row in _PARTITIONS for name in row[2:]})})"
# A host of AWS's own; those of private links, proxies and gateways are left alone.
_AWS_HOST = re.compile(
    rf"//bedrock(?:-agent)?(?:-runtime|-mantle)?((?:-fips)?\.({_REGION})\.{_DOMAIN}(?=/|:|$))",
    re.IGNORECASE,
)
# The region of an endpoint of a service that is signed for here, a private link's as well; not
# that of a proxy which somebody has at AWS.
_REGION_OF_HOST = re.compile(
    rf"\w+://([^/?#@]*@)?[^/?#@]*(?:bedrock|sagemaker)[a-z-]*\.({_REGION})"
    rf"\.(vpce\.)?{_DOMAIN}(/|:|$)",
    re.IGNORECASE,
)
# The paths of the chat on these hosts, in the ways of OpenAI and Anthropic.
_CHAT = re.compile(
    r"(//[^/?#]+)((/openai(/v1)?|/v1|/anthropic(/v1)?)"
    r"(/((chat/)?completions|responses|messages|embeddings))?"
    r"|/model/[^/?#]+/(converse|converse-stream|invoke-with-response-stream))/*$"
)
_ROUTE_OF_PATH = re.compile(rf"\w+://[^/?#]+[^?#]*/({'|'.join(SERVICES)})/*([?#]|$)")


def split_route(model: str) -> tuple[str | None, str]:
    """The route that a model's prefix states, and the id or ARN behind it."""
    prefix, _, name = model.partition("/")
    return (prefix, name) if name and prefix in SERVICES else (None, model)


def route_by_path(base_url: str | None) -> str | None:
    """The route that a base URL states by its end."""
    found = _ROUTE_OF_PATH.match(base_url or "")
    return found[1] if found else None


def region_by_host(base_url: str | None) -> str | None:
    """The region that a base URL of AWS's own names."""
    found = _REGION_OF_HOST.match(base_url or "")
    return found[2].lower() if found else None


@frozen
class StatedRegion:
    """The source of a region that the base URL or a model's ARN states."""

    region: str

    def __call__(self, _: Mapping[str, Any]) -> str:
        return self.region


def check_region(base_url: str, request: RerankRequest) -> None:
    """A signature is for one region, and that of another would be refused.

    Raises:
        ConfigurationError: The base URL is another region's than the one to sign for.
    """
    if (stated := region_by_host(base_url)) and stated != (region := region_of(request)):
        message = (
            f"the base URL is that of {stated}, but the region is {region}: give one of"
            " api_base= and aws_region_name="
        )
        raise ConfigurationError(message)


def route_of(provider: Provider, request: RerankRequest) -> str:
    """What model or caller state, else what the credentials allow, else the base URL's end.

    Raises:
        ConfigurationError: The base URL ends in the path of the other route.
    """
    base_url = provider.base_url or ""
    chosen = split_route(request.model)[0] or (
        "invoke" if base_url == INVOKE_BASE else request.options.get("route")
    )
    by_path = route_by_path(base_url)
    if chosen and by_path and chosen != by_path:
        message = f"the base URL ends in /{by_path}, which is not where bedrock/{chosen}/ goes"
        raise ConfigurationError(message)
    return chosen or by_path or "rerank"


def endpoint_of(provider: Provider, request: RerankRequest, route: str) -> str:
    """The whole URL: of the region, or the caller's with the route's service in it."""
    base = provider.base_url or ""
    if base in {RERANK_BASE, INVOKE_BASE} and route == "invoke":
        # Only where the credentials chose the route: otherwise it is the base URL already.
        base = request.options.get("runtime_endpoint") or base
    if base in {RERANK_BASE, INVOKE_BASE}:
        region = region_of(request)
        base = f"https://{SERVICES[route]}.{region}.{domain_of(region)}"
    else:
        check_region(base, request)
    if _AWS_HOST.search(base):
        base = _AWS_HOST.sub(rf"//{SERVICES[route]}\1", _CHAT.sub(r"\1", base), count=1)
    # The model is one segment of the path; what signs it encodes the path once more.
    model = quote(split_route(request.model)[1], safe="")
    return wire.join_endpoint(base, "/rerank" if route == "rerank" else f"/model/{model}/invoke")


def region_of(request: RerankRequest) -> str:
    """The region; there is no default, because no region has all models.

    Raises:
        ConfigurationError: There is none, or it is none.
    """
    region = request.options.get("aws_region_name")
    if isinstance(region, str) and re.fullmatch(r"[a-z0-9-]+", region):
        return region
    message = (
        "no AWS region: give aws_region_name=, set AWS_REGION, or name one in the profile"
        if region is None
        else f"aws_region_name must be like 'us-west-2', not {region!r}"
    )
    raise ConfigurationError(message)


def arn_of(request: RerankRequest) -> str:
    """The ARN of a foundation model in its own region: all that the Rerank operation takes.

    Raises:
        ConfigurationError: It is another ARN.
    """
    name, region = split_route(request.model)[1], region_of(request)
    if not name.startswith("arn:"):
        return f"arn:{_partition_of(region)[0]}:bedrock:{region}::foundation-model/{name}"
    arn = ARN.fullmatch(name)
    if arn and arn[1] == region and arn[2].startswith("foundation-model/"):
        return name
    message = (
        f"the Rerank operation takes the ARN of a foundation model in its own region, here"
        f" {region}: another ARN may work with InvokeModel, as bedrock/invoke/<ARN>"
    )
    raise ConfigurationError(message)


def domain_of(region: str) -> str:
    """The domain of AWS's endpoints in a region."""
    return _partition_of(region)[1]


def _partition_of(region: str) -> tuple[str, str]:
    """The partition and the domain that a region belongs to."""
    return next(row[1:3] for row in _PARTITIONS if region.startswith(row[0]))
