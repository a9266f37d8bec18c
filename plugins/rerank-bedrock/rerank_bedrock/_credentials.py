"""AWS's own ways to find credentials, all of them botocore's, which is imported when needed.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from rerank_core import ConfigurationError, MissingAPIKeyError, TransportError

if TYPE_CHECKING:
    from rerank_core.auth import AuthOptions

CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
    "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "aws_session_token": ("AWS_SESSION_TOKEN",),
}
SECRETS = {**CREDENTIALS, "aws_bearer_token": ("AWS_BEARER_TOKEN_BEDROCK",)}
REGION = ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION")
# What botocore reads for itself, to find credentials.
FILES_AND_ROLES = (
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_PARTS = ("aws_secret_access_key", "aws_session_token", "aws_bearer_token")
# What says, without a network, that there are credentials beside an API key.
_ROLE_VARIABLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_PROFILE_SETTINGS = (
    "aws_access_key_id",
    "credential_process",
    "login_session",
    "role_arn",
    "sso_session",
    "sso_start_url",
)


@frozen
class RegionOfProfile:
    """The source of a region that neither the caller nor a variable names.

    Attributes:
        profile: The one that the caller named.
    """

    profile: str | None

    def __call__(self, _: Mapping[str, Any]) -> str | None:
        """The region that the profile names, if any."""
        region = _ask(lambda: _open_session(self.profile).get_config_variable("region"))
        return region if isinstance(region, str) else None


@frozen
class RouteByCredentials:
    """The source of a route that the caller does not name.

    Attributes:
        profile: The one that the caller named.
    """

    profile: str | None

    def __call__(self, secrets: Mapping[str, Any]) -> str | None:
        """`invoke` where an API key from the environment is all there is, `rerank` beside others.

        An instance's role is not asked for: that takes a network, and the key works all the same.
        """
        if not secrets.get("aws_bearer_token"):
            return None
        if self.profile or secrets.get("aws_access_key_id"):
            return "rerank"
        if any(os.environ.get(name) for name in _ROLE_VARIABLES):
            return "rerank"
        profile = _ask(lambda: _open_session(None).get_scoped_config())
        return "rerank" if any(name in profile for name in _PROFILE_SETTINGS) else "invoke"


def check_types(options: Mapping[str, Any]) -> None:
    """Refuse credentials that are no text, without showing them.

    Raises:
        ConfigurationError: One is none.
    """
    for name in ("aws_access_key_id", *_PARTS):
        if not isinstance(value := options.get(name) or "", str):
            message = f"{name} must be a string, not {type(value).__name__}"
            raise ConfigurationError(message)


def without_foreign(options: AuthOptions) -> dict[str, Any]:
    """The options without what variables add to an access key that the caller gave.

    A session token or an API key of the environment belongs to whom the environment names.
    """
    foreign = set(_PARTS) - options.given if "aws_access_key_id" in options.given else ()
    return {name: value for name, value in options.items() if name not in foreign}


def load_credentials(options: Mapping[str, Any], *, chosen: bool, otherwise: str = "") -> Any:
    """Botocore's credentials: the keys in `options`, else whatever the AWS chain finds.

    Args:
        options: The plugin's, secret ones among them.
        chosen: Whether the caller named the profile, so that nothing else may answer; one that a
            variable names is a link of the chain.
        otherwise: What else could authorize, for the error where there are none.

    Raises:
        MissingAPIKeyError: There are none.
        ConfigurationError: They are incomplete, or could not be obtained.
        TransportError: They come from a service that does not answer.
    """
    from botocore.credentials import Credentials  # type: ignore[import-untyped]  # noqa: PLC0415 - late

    key, secret = options.get("aws_access_key_id"), options.get("aws_secret_access_key")
    if key and secret:
        return Credentials(key, secret, options.get("aws_session_token"))
    if key is not None or secret is not None:
        message = (
            "aws_access_key_id and aws_secret_access_key, or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, belong together: one of them is missing or empty"
        )
        raise ConfigurationError(message)
    profile = options.get("aws_profile_name") if chosen else None
    credentials = _ask(lambda: _open_session(profile).get_credentials())
    if credentials is None:
        message = (
            "no AWS credentials: give aws_access_key_id= and aws_secret_access_key=, set"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile (aws_profile_name=,"
            f" AWS_PROFILE), or run with a role{otherwise}"
        )
        raise MissingAPIKeyError(message)
    return credentials


def freeze(credentials: Any) -> Any:
    """The keys as they are now; temporary ones are renewed before they expire."""
    return _ask(credentials.get_frozen_credentials)


def _open_session(profile: str | None) -> Any:
    from botocore.session import Session  # type: ignore[import-untyped]  # noqa: PLC0415 - late

    return Session(profile=profile)


def _ask(function: Callable[[], Any]) -> Any:
    """Call what asks botocore, and raise our errors for its own."""
    found = _try(function)
    if isinstance(found, ConfigurationError):
        raise found  # here, where the error whose text it holds back is not its context
    return found


def _try(function: Callable[[], Any]) -> Any:
    """What the function returns, or our error where botocore's may quote a secret."""
    from botocore import exceptions  # type: ignore[import-untyped]  # noqa: PLC0415 - late

    try:
        return function()
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        message = f"the service that gives AWS credentials does not answer: {error}"
        raise TransportError(message) from error
    except (exceptions.CredentialRetrievalError, exceptions.MetadataRetrievalError) as error:
        # It quotes what a program or service said, credentials perhaps.
        name, source = type(error).__name__, error.kwargs.get("provider", "a metadata service")
        message = (
            f"AWS credentials could not be obtained: {name} ({source}), whose text may hold a"
            " secret: `aws sts get-caller-identity` shows it"
        )
        return ConfigurationError(message)
    except (exceptions.BotoCoreError, exceptions.ClientError, OSError) as error:
        raise ConfigurationError(f"AWS credentials could not be obtained: {error}") from error
    except (ValueError, LookupError) as error:
        # Out of the middle of a file or of a program's output: it may quote what is secret.
        return ConfigurationError(f"AWS credentials cannot be read ({type(error).__name__})")
