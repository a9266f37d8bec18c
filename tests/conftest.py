"""What tests of core and of faults share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.certificates import make_certificate
from rerank_core._http import pool


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for this machine."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The certificate is trusted, by the variable that users set."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    pool.tls_context.cache_clear()
    yield
    pool.tls_context.cache_clear()
