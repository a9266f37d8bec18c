"""Virtual environments of their own, for the programs that some tests are held against.

Run `python tests/environments.py infinity litellm_proxy sdks`, or name others of them: it takes
minutes and gigabytes once, and nothing the second time. `benchmarks` names all those that
`benchmarks/measure.py` compares, `gates` those of `benchmarks/gates.py`, `frameworks` those that
`.ci/frameworks` uses. Where torch is needed it uses pip rather than uv, so that pip's own
configuration decides where the CPU build comes from; else uv, where it is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """One virtual environment.

    Attributes:
        name: Its folder.
        steps: What it holds: requirements that are installed together, after those before them.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def home(self) -> Path:
        """Where it lives."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        servers = os.environ.get("RERANK_SERVERS_HOME") or cache / "rerank-servers"
        return Path(servers).expanduser().resolve() / self.name

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.home / "bin"

    @property
    def is_installed(self) -> bool:
        """Whether an installation of exactly these requirements was finished."""
        stamp = self.home / "installed.txt"
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self._stamp

    @property
    def how_to_install(self) -> str:
        """What to tell whoever lacks it."""
        return f"{self.name}: run `python tests/environments.py {self.name}`."

    @property
    def _stamp(self) -> str:
        return "".join(f"{requirement}\n" for step in self.steps for requirement in step)

    def install(self) -> None:
        """Build it, unless it is already there."""
        if self.is_installed:
            return
        python = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
        if not python:
            sys.exit(f"{self.name} needs Python 3.11: run this file with it, or put it on PATH.")
        subprocess.run([python, "-m", "venv", "--clear", self.home], check=True)  # noqa: S603 - our own
        inside = str(self.bin / "python")
        pip = [inside, "-m", "pip", "install"]
        if "torch" not in self._stamp and find_spec("uv"):
            pip = [sys.executable, "-m", "uv", "pip", "install", "--python", inside]
        for step in self.steps:  # away from here, where the workspace leaves Ray and torch out
            subprocess.run([*pip, *step], check=True, cwd=self.home)  # noqa: S603 - our own
        (self.home / "installed.txt").write_text(self._stamp, encoding="utf-8")


# torch first and alone: the server would otherwise be free to choose another one.
INFINITY = Environment("infinity", (("torch==2.13.0",), ("infinity-emb[torch,server]==0.0.78",)))
# llama.cpp's server as a wheel, and what writes the model that it serves: no compiler, no hub.
LLAMACPP = Environment("llamacpp", (("xllamacpp==2026.10.11549", "gguf==0.19.0"),))
LITELLM_PROXY = Environment("litellm_proxy", (("litellm[proxy]==1.106.2",),))
# The versions that the captures were made with.
SDKS = Environment(
    "sdks",
    (
        (
            "cohere==7.3.1",
            "voyageai==0.5.0",
            "together==3.1.1",
            "botocore==1.44.5",
            "google-cloud-discoveryengine==0.20.5",
            "ibm-watsonx-ai==1.8.1",
            "mixedbread==0.54.0",
            "openrouter==1.3.84",
            "contextual-client==0.11.0",
            "isaacus==0.22.1",
            "xinference-client==4.1.0",
            "elasticsearch==9.5.1",
            "oci==2.189.0",
            "pinecone==10.2.0",
            "vikingdb-python-sdk==0.1.35",
        ),
    ),
)
# Ray alone has 200 MB; core, rerank-jobs and what its tests ask are installed in place beside it.
_ROOT = Path(__file__).parents[1]
RAY = Environment(
    "ray",
    (
        ("ray[data]==2.60.0", "pyarrow==26.0.1"),
        ("hypothesis", "pytest>=8.3", "pytest-timeout>=2.3"),
        tuple(
            word
            for part in (
                "core[cli]",
                "plugins/rerank-local",
                "plugins/rerank-infinity",
                "plugins/rerank-cache",
                "plugins/rerank-jobs",
            )
            for word in ("--editable", str(_ROOT / part))
        ),
    ),
)


def _needs(*folders: str) -> tuple[str, ...]:
    """What packages of ours need of others, core by default; from wheels, without a compiler."""
    needs = []
    for folder in folders or ("core",):
        path = Path(__file__).parents[1] / folder / "pyproject.toml"
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        needs += [need for need in project["dependencies"] if not need.startswith("rerank-")]
    return ("--only-binary=:all:", *needs)


def _both(name: str, plugin: str, tested_with: str, newest_only: str) -> tuple[Environment, ...]:
    """A framework at its newest and at the lowest version that its plugin allows.

    Args:
        name: Of the environment.
        plugin: The folder of the plugin.
        tested_with: What the tests need of the framework beside the plugin's dependencies.
        newest_only: The vendor's integration, which `benchmarks/frameworks.py` compares.
    """
    needs = _needs(f"plugins/{plugin}")
    tested = tuple(tested_with.split())
    lowest = [need.partition(",")[0].replace(">=", "==") for need in (*needs, *tested)]
    ours = {*_needs(), *_needs("plugins/rerank-local")} - {*needs}
    others = (*sorted(ours), *TESTS)
    return (
        Environment(name, ((*needs, *tested, *others, newest_only),)),
        Environment(f"{name}-lowest", ((*lowest, *others),)),
    )


# Checkpoints are made, exported and run there, by the libraries that rerank-local is held against.
TORCH = Environment(
    "torch",
    (
        ("torch==2.13.0",),
        (
            "sentence-transformers==5.7.0",
            "optimum-onnx[onnxruntime]==0.1.0",
            *_needs("core", "plugins/rerank-local"),
        ),
    ),
)
# Core and rerank-cohere themselves are put beside these by whatever measures them: they change.
BENCHMARKS = (
    Environment("bench_ours", (_needs(),)),
    Environment(
        "bench_transports",
        (_needs(), ("--only-binary=:all:", "pyreqwest==0.15.1", "httpx-aiohttp==0.2.0")),
    ),
    Environment("bench_aiohttp", (("aiohttp==3.14.5", "orjson"),)),
    Environment("bench_litellm", (("litellm==1.106.2",),)),
    Environment("bench_rerankers", (("rerankers[api]==0.10.0",),)),
    Environment("bench_cohere", (("cohere==7.3.1",),)),
    Environment("bench_voyageai", (("voyageai==0.5.0",),)),
)
TESTS = ("mypy>=1.14", "pytest>=8.3", "pytest-asyncio", "pytest-timeout>=2.3", "trio>=0.31")
# Without a number: a release of a framework that breaks something is to be seen.
FRAMEWORKS = (
    *_both(
        "langchain",
        "langchain-rerank-core",
        "langchain-classic>=1.0 langchain-tests>=1.0",
        "langchain-cohere",
    ),
    *_both(
        "llama_index",
        "llama-index-postprocessor-rerank-core",
        "",
        "llama-index-postprocessor-cohere-rerank",
    ),
    *_both("haystack", "rerank-core-haystack", "", "cohere-haystack"),
)
RECIPES = Environment(
    "recipes",
    (
        (
            *sorted({*_needs(), *_needs("plugins/rerank-local")}),
            *TESTS,
            *("celery", "dspy", "fastapi", "gunicorn", "ipykernel", "lancedb", "nbclient"),
            *("qdrant-client", "uvicorn"),
        ),
    ),
)
ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        *(INFINITY, LITELLM_PROXY, LLAMACPP, SDKS, RAY, TORCH, RECIPES),
        *BENCHMARKS,
        *FRAMEWORKS,
    )
}


def main(names: list[str]) -> None:
    """Build the named environments; with `--where`, only say where one has its programs."""
    if names[:1] == ["--where"]:
        print(ENVIRONMENTS[names[1]].bin)  # noqa: T201 - what it was asked
        return
    groups = {
        "benchmarks": [environment.name for environment in BENCHMARKS],
        "gates": ["bench_ours", "bench_litellm"],
        "frameworks": [environment.name for environment in (*FRAMEWORKS, RECIPES)],
    }
    chosen = [single for name in names for single in groups.get(name, [name])]
    if not chosen or {*chosen} - ENVIRONMENTS.keys():
        sys.exit(f"Name some of: {', '.join([*ENVIRONMENTS, *groups])}")
    for name in chosen:
        ENVIRONMENTS[name].install()


if __name__ == "__main__":
    main(sys.argv[1:])
