"""Plugins as an installer leaves them, in a folder of one's own."""

from __future__ import annotations

from pathlib import Path

MODULE = '''
"""A provider for tests."""

from rerank_core import HTTPRequest, Provider, RerankResponse, hookimpl, wire


@hookimpl
def resolve_provider():
    return Provider(name="{name}", base_url="https://{name}.test")


@hookimpl
def map_params(params):
    return dict(params)


@hookimpl
def build_request(provider, request):
    return HTTPRequest(provider.base_url + "/rerank", {{"documents": list(request.documents)}})


@hookimpl
def parse_response(payload):
    return RerankResponse(wire.read_results(payload["results"]))
'''


def install_plugin(folder: Path, name: str, *, before: str = "") -> None:
    """Put a plugin into a folder that is, or will be, on `sys.path`.

    Args:
        folder: Where.
        name: The provider's name.
        before: Code that the module runs first.
    """
    info = folder / f"rerank_{name}-0.1.0.dist-info"
    info.mkdir()
    source = f"{before}\n{MODULE.format(name=name)}"
    (folder / f"rerank_{name}.py").write_text(source, encoding="utf-8")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: rerank-{name}\nVersion: 0.1.0\nRequires-Dist: rerank-core\n",
        encoding="utf-8",
    )
    (info / "entry_points.txt").write_text(
        f"[rerank_core.providers]\n{name} = rerank_{name}\n", encoding="utf-8"
    )
