"""Every block of "Test your application" is run as its reader would run it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
APPLICATION, *BLOCKS = re.findall(
    r"^```python\n(.*?)^```\n", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
TESTS = [block for block in BLOCKS if "def test_" in block]
CASSETTE = """\
interactions:
- request:
    body: ''
    headers: {}
    method: POST
    uri: https://api.cohere.com/v2/rerank
  response:
    body:
      string: '{"id": "1", "results": [{"index": 1, "relevance_score": 0.9},
        {"index": 0, "relevance_score": 0.1}]}'
    headers:
      content-type: [application/json]
    status: {code: 200, message: OK}
version: 1
"""


def run_pytest(folder: Path) -> str:
    """What pytest prints about the tests in a folder, all of which pass."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_page_has_what_it_promises() -> None:
    """Both doubles, and the three tools around httpx."""
    for name in ("import rerank_fake", "import respx", "httpx_mock", "import vcr"):
        assert any(name in block for block in TESTS), name


@pytest.mark.slow
@pytest.mark.parametrize("at", range(len(TESTS)))
def test_a_block_passes_as_a_test(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, where no key is set and nothing else is loaded."""
    for name in ("COHERE_API_KEY", "CO_API_KEY", "COHERE_API_BASE", "CO_API_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "test_block.py").write_text(f"{APPLICATION}\n{TESTS[at]}", encoding="utf-8")
    (tmp_path / "search.yaml").write_text(CASSETTE, encoding="utf-8")

    assert " passed" in run_pytest(tmp_path)


def test_the_other_block_prints_what_the_page_says() -> None:
    """It needs no pytest."""
    (block,) = [block for block in BLOCKS if "def test_" not in block]
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, str(PAGE), "exec"), {})  # noqa: S102 - our own documentation

    assert f"```text\n{printed.getvalue()}```" in PAGE.read_text(encoding="utf-8")
