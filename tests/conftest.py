"""What all tests below share, and what those of core and of faults do."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from core.certificates import make_certificate


def pytest_configure() -> None:
    """Let Ctrl-C interrupt programs that tests start, also where a shell's job ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for this machine."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is trusted, by the variable that users set."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
