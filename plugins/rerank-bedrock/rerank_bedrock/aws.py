"""Public: signing for another AWS service, in the way that this plugin signs for its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from rerank_bedrock._credentials import (
    CREDENTIALS,
    FILES_AND_ROLES,
    PROFILE,
    REGION,
    RegionOfProfile,
)
from rerank_bedrock._endpoints import (
    StatedRegion,
    check_region,
    domain_of,
    region_by_host,
    region_of,
)
from rerank_bedrock._errors import ERROR_TYPES, SIGNATURE_HINTS
from rerank_core import Provider

if TYPE_CHECKING:
    import httpx

    from rerank_core.auth import AuthOptions

__all__ = [
    "ERROR_TYPES",
    "SIGNATURE_HINTS",
    "SigV4Facts",
    "check_region",
    "domain_of",
    "region_of",
    "sigv4_auth",
    "sigv4_facts",
]


@frozen(kw_only=True)
class SigV4Facts:
    """What a plugin that signs states about itself; each is the fact of `Provider` so called."""

    options: Mapping[str, tuple[str, ...]]
    secret_options: Mapping[str, tuple[str, ...]]
    option_sources: Mapping[str, Callable[[Mapping[str, Any]], Any]]
    watched_env: tuple[str, ...] = FILES_AND_ROLES


def sigv4_facts(options: Mapping[str, Any]) -> SigV4Facts:
    """The facts of a plugin that signs.

    Args:
        options: What `resolve_provider` was given.
    """
    profile = options.get("aws_profile_name")
    # A region that the base URL states is meant: variables are for all of AWS.
    stated = region_by_host(options.get("api_base"))
    return SigV4Facts(
        options={
            "aws_region_name": () if stated else REGION,
            "aws_profile_name": () if profile else PROFILE,
        },
        # Whoever names a profile means that one, not the keys of a variable.
        secret_options=dict.fromkeys(CREDENTIALS, ()) if profile else CREDENTIALS,
        option_sources={
            "aws_region_name": StatedRegion(stated) if stated else RegionOfProfile(profile)
        },
    )


def sigv4_auth(provider: Provider, options: AuthOptions, *, service: str) -> httpx.Auth:
    """What signs each attempt anew, with credentials of the options or of botocore's chain.

    Args:
        provider: The facts, with those of `sigv4_facts` in them.
        options: What `auth` was given, secret ones among them.
        service: The name that AWS signs for: `sagemaker`, for example.
    """
    from rerank_bedrock._auth import SigV4Auth  # noqa: PLC0415 - httpx not before the first call

    chosen = not provider.options["aws_profile_name"]
    auth = SigV4Auth(options, service=service, chosen=chosen)
    auth.load()  # here, where a deadline ends it before anything is sent
    return auth
