"""Google's credentials, where they are kept: a file, gcloud's file, the machine itself.

https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerank_core import ConfigurationError, TransportError

_PRODUCT_NAME = Path("/sys/class/dmi/id/product_name")
# Cloud Run's services, jobs and workers, App Engine; the first names a stand-in.
_ON_GOOGLE = ("GCE_METADATA_HOST", "K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL", "GAE_ENV")
_FLAVOR = {"Metadata-Flavor": "Google"}


def find_project(given: Any) -> str | None:
    """The project that the credentials belong to, as far as they say.

    Args:
        given: See `read_credentials`.
    """
    found = read_credentials(given)
    if found is None:
        return _ask_for_project() if is_on_google() else None
    known = (
        found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        for name in ("project_id", "quota_project_id")
    )
    return next(filter(None, known), None)


def read_credentials(given: Any) -> Any:
    """The credentials as a mapping or an object of google-auth; `None` where there is no file.

    Args:
        given: A mapping, JSON, a path, or an object of google-auth; `None` for gcloud's file.

    Raises:
        ConfigurationError: It is none of these, or cannot be read.
    """
    if given is None:
        path = gcloud_folder() / "application_default_credentials.json"
        return _read_file(path) if path.is_file() else None
    if isinstance(given, Mapping) or hasattr(given, "refresh"):
        return given
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return _parse(given, "vertex_credentials")
    if isinstance(given, (str, os.PathLike)):
        return _read_file(Path(given).expanduser())
    message = (
        "vertex_credentials must be a mapping, JSON, a path or an object of google-auth, not"
        f" {type(given).__name__}"
    )
    raise ConfigurationError(message)


def gcloud_folder() -> Path:
    """Where gcloud keeps its files."""
    if folder := os.environ.get("CLOUDSDK_CONFIG"):
        return Path(folder)
    if os.name == "nt":
        return Path(os.environ.get("APPDATA", "")) / "gcloud"
    return Path("~/.config/gcloud").expanduser()


def is_on_google() -> bool:
    """Whether this is a machine or service of Google's, which has a metadata server."""
    if any(os.environ.get(name) for name in _ON_GOOGLE):
        return True
    try:
        return _PRODUCT_NAME.read_text(encoding="utf-8").startswith("Google")
    except (OSError, ValueError):
        return False


def metadata_url(path: str) -> str:
    """A URL of the metadata server."""
    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    return f"http://{host}/computeMetadata/v1/{path}"


def _ask_for_project() -> str | None:
    import httpx  # noqa: PLC0415 - only where nothing else names the project

    try:
        reply = httpx.get(
            metadata_url("project/project-id"), headers=_FLAVOR, timeout=2.0, trust_env=False
        )
    except httpx.HTTPError as error:
        message = f"the metadata server does not name the project: {type(error).__name__}"
        raise TransportError(message) from error
    return reply.text.strip() or None if reply.is_success else None


def _read_file(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        kind = type(error).__name__
    else:
        return _parse(text, f"the file of credentials, {path},")
    # Here, and so without a context: an error of decoding has all of the file.
    message = f"the file of credentials, {path}, cannot be read ({kind})"
    raise ConfigurationError(message)


def _parse(text: str, what: str) -> Mapping[str, Any]:
    try:
        info = json.loads(text)
    except ValueError:
        info = None  # not chained: the text holds a key
    if isinstance(info, Mapping):
        return info
    message = f"{what} is no JSON object"
    raise ConfigurationError(message)
