"""What signs a request, by Oracle's SDK, which is imported when it is needed.

https://docs.oracle.com/iaas/Content/API/Concepts/sdk_authentication_methods.htm
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from rerank_core import ConfigurationError, MissingAPIKeyError, TransportError

PROFILE = ("OCI_CLI_PROFILE",)
CONFIG_FILE = ("OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE")
AUTHS = ("api_key", "security_token", "instance_principal", "resource_principal")
SECRETS: Mapping[str, tuple[str, ...]] = {
    "oci_user": ("OCI_USER", "OCI_CLI_USER"),
    "oci_tenancy": ("OCI_TENANCY", "OCI_CLI_TENANCY"),
    "oci_fingerprint": ("OCI_FINGERPRINT", "OCI_CLI_FINGERPRINT"),
    "oci_key": ("OCI_KEY", "OCI_CLI_KEY_CONTENT"),
    "oci_key_file": ("OCI_KEY_FILE", "OCI_CLI_KEY_FILE"),
    "oci_pass_phrase": ("OCI_CLI_PASSPHRASE",),
    "oci_signer": (),
}
_FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_WHO = ("oci_user", "oci_tenancy", "oci_fingerprint")


@frozen
class RegionOfConfig:
    """The source of a region that neither the caller nor a variable names.

    Attributes:
        profile: The one that the caller named.
        file: The file that the caller named.
    """

    profile: str | None
    file: str | None

    def __call__(self, _: Mapping[str, Any]) -> str | None:
        """The region that the file names, if there is one."""
        profile = self.profile or _first(PROFILE)
        try:
            return _read_config(profile, self.file or _first(CONFIG_FILE)).get("region")
        except ConfigurationError:
            return None  # whatever signs says what is wrong with it


def make_signer(options: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A signer of Oracle's SDK: the caller's, or one made of a key, a principal or a file.

    Raises:
        MissingAPIKeyError: There is nothing to make it of.
        ConfigurationError: What there is is incomplete, or cannot be used.
        TransportError: A service that says who this machine is does not answer.
    """
    if (given := options.get("oci_signer")) is not None:
        if not callable(given):
            message = f"oci_signer must be a signer of the oci package, not {type(given).__name__}"
            raise ConfigurationError(message)
        return given  # type: ignore[no-any-return]  # checked as far as it can be
    return _ask(lambda: _make(options))  # type: ignore[no-any-return]  # the SDK has no types


def _make(options: Mapping[str, Any]) -> Any:
    import oci  # type: ignore[import-untyped]  # noqa: PLC0415 - late

    kind = options.get("oci_auth") or "api_key"
    if kind == "instance_principal":
        return oci.auth.signers.InstancePrincipalsSecurityTokenSigner()
    if kind == "resource_principal":
        return oci.auth.signers.get_resource_principals_signer()
    if kind == "api_key" and any(options.get(name) for name in _WHO):
        return _of_options(options)
    config = _read_config(options.get("oci_profile"), options.get("oci_config_file"))
    if kind == "security_token" or ("security_token_file" in config and "user" not in config):
        token = Path(config["security_token_file"]).expanduser().read_text(encoding="utf-8")
        key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
        return oci.auth.signers.SecurityTokenSigner(token.strip(), key)
    return oci.Signer.from_config(config)


def _of_options(options: Mapping[str, Any]) -> Any:
    import oci  # noqa: PLC0415 - late

    missing = [name for name in _WHO if not options.get(name)]
    file = options.get("oci_key_file")
    if not options.get("oci_key") and not file:
        missing.append("oci_key or oci_key_file")
    if missing:
        raise ConfigurationError(f"an OCI key is incomplete: {', '.join(missing)} not given")
    return oci.Signer(
        tenancy=options["oci_tenancy"],
        user=options["oci_user"],
        fingerprint=options["oci_fingerprint"],
        private_key_file_location=file,
        pass_phrase=options.get("oci_pass_phrase"),
        # In a variable, line breaks are often written out.
        private_key_content=(options.get("oci_key") or "").replace("\\n", "\n") or None,
    )


def _read_config(profile: str | None, file: str | None) -> dict[str, Any]:
    import oci  # noqa: PLC0415 - late

    given = {"file_location": file, "profile_name": profile}
    return dict(_ask(lambda: oci.config.from_file(**{n: v for n, v in given.items() if v})))


def _first(variables: tuple[str, ...]) -> str | None:
    return next(filter(None, map(os.environ.get, variables)), None)


def _ask(function: Callable[[], Any]) -> Any:
    """Call what asks the SDK, and raise our errors for its own; a key is in none of them."""
    from oci import exceptions  # noqa: PLC0415 - late

    try:
        return function()
    except exceptions.ConfigFileNotFound as error:
        message = (
            "nothing to sign with: give oci_user=, oci_tenancy=, oci_fingerprint= and"
            " oci_key_file=, or oci_signer=; choose oci_auth=; or have a configuration file,"
            " ~/.oci/config"
        )
        raise MissingAPIKeyError(message) from error
    except exceptions.ClientError as error:
        raise ConfigurationError(f"OCI credentials cannot be used: {error}") from error
    except _FILES as error:
        raise ConfigurationError(f"OCI credentials cannot be read: {error}") from error
    except (OSError, exceptions.ServiceError) as error:  # what its HTTP client raises is an OSError
        name = type(error).__name__
        message = f"the service that says who this machine is does not answer ({name})"
        raise TransportError(message) from error
    except (LookupError, ValueError) as error:
        name = type(error).__name__  # its text may quote what is secret
        raise ConfigurationError(f"OCI credentials cannot be read ({name})") from None
