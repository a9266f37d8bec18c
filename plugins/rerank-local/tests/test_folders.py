"""Folders that say one thing and give another, chat templates, and where onnxruntime computes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rerank_core import ConfigurationError, InvalidRequestError, rerank
from rerank_local._runtime import onnxruntime

WriteExport = Callable[..., Path]
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'system' %}king {{ m.content }} {% elif m.role =="
    " 'query' %}query {{ m.content }} {% else %}: {{ m.content }}{% endif %}{% endfor %} dog king"
)


def rank(folder: Path, query: str, documents: Sequence[str], **params: Any) -> Any:
    """A response and its scores in the caller's order."""
    response = rerank(f"local/onnx:{folder}", query, documents, **params)
    ranked = sorted(response.results, key=lambda result: result.index)
    return response, [result.relevance_score for result in ranked]


def weigh(weights: Mapping[str, float], text: str) -> float:
    """The words' weights together."""
    return sum(weights[word] for word in text.split())


def reshape(folder: Path, output: str, rank_of_it: int, *, stated: bool = True) -> None:
    """The model gives an output of so many axes; its shape is stated, or not."""
    nodes = [helper.make_node("Gather", ["weights", "input_ids"], ["words"])]
    axes = numpy_helper.from_array(np.array([1, 2][: 3 - rank_of_it], np.int64), "axes")
    if rank_of_it == 3:
        nodes.append(helper.make_node("Identity", ["words"], [output]))
    else:
        nodes.append(helper.make_node("ReduceSum", ["words", "axes"], [output], keepdims=0))
    names = ["n", "s", "d"] if rank_of_it == 3 else ["n", "d"][:rank_of_it]
    graph = helper.make_graph(
        nodes,
        "shapes",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "s"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, names if stated else None)],
        [numpy_helper.from_array(np.ones((12, 1), np.float32), "weights"), axes],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "model.onnx")


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    ("output", "axes", "expected"),
    [
        ("last_hidden_state", 1, r"expected last_hidden_state \[n, s, d\]"),
        ("last_hidden_state", 2, r"expected last_hidden_state \[n, s, d\]"),
        ("token_embeddings", 1, r"expected token_embeddings \[n, s, d\]"),
        ("sentence_embedding", 1, r"expected sentence_embedding \[n, d\]"),
        ("sentence_embedding", 3, r"expected sentence_embedding \[n, d\]"),
        ("sentence_embedding", 2, "vectors of two numbers or more"),
        ("last_hidden_state", 3, "vectors of two numbers or more"),
        ("logits", 1, r"expected an output `logits` \[n, 1\]"),
    ],
)
def test_an_output_of_another_rank_or_width_is_a_fault_of_the_folder(
    bi_encoder: Path, output: str, axes: int, expected: str, *, stated: bool
) -> None:
    """With what was expected and found, before it runs or after."""
    reshape(bi_encoder, output, axes, stated=stated)

    with pytest.raises(ConfigurationError, match=expected) as caught:
        rank(bi_encoder, "a", ["cat", "a dog"])

    assert str(bi_encoder) in str(caught.value)
    assert "found" in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": {"architectures": ["BertForSequenceClassification"], "pad_token_id": 0}},
        {"config_sentence_transformers.json": {"model_type": "CrossEncoder"}},
    ],
    ids=["architecture", "model type"],
)
@pytest.mark.parametrize("model", ["onnx", "hybrid"])
def test_an_export_without_its_head_is_refused(
    write_export: WriteExport, files: dict[str, Any], model: str
) -> None:
    """Also where its kind is given, and by the hybrid."""
    folder = write_export(np.eye(12), "last_hidden_state", files=files)

    given: list[dict[str, Any]] = [{}, {"kind": "bi-encoder"}]
    for options in given:
        with pytest.raises(ConfigurationError, match=r"lacks the head .* `--task text-classif"):
            rerank(f"local/{model}:{folder}", "a", ["cat"], **options)


@pytest.mark.parametrize(
    "files",
    [
        {"config_sentence_transformers.json": {"model_type": "SentenceTransformer"}},
        {"1_Pooling/config.json": {"pooling_mode": "mean"}},
        {"modules.json": [{"type": "sentence_transformers.models.Pooling"}]},
    ],
    ids=["model type", "pooling", "modules"],
)
def test_logits_of_a_bi_encoder_are_refused(
    write_export: WriteExport, files: dict[str, Any]
) -> None:
    """The other way round."""
    folder = write_export([[1.0]] * 12, files=files)

    with pytest.raises(ConfigurationError, match="it is a bi-encoder, but the export gives log"):
        rank(folder, "a", ["cat"])


def test_a_bi_encoder_trained_from_a_classifier_is_one(write_export: WriteExport) -> None:
    """What is written for sentence-transformers counts more than the architecture."""
    files = {
        "config.json": {"architectures": ["BertForSequenceClassification"], "pad_token_id": 0},
        "1_Pooling/config.json": {"pooling_mode": "mean"},
    }
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)

    assert rank(folder, "cat", ["cat"], kind="bi-encoder")[1] == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("Qwen3ForCausalLM", "a generative reranker .* vLLM or llama.cpp"),
        ("BertForMaskedLM", "a masked language model"),
    ],
)
def test_a_language_model_is_told_what_it_is(
    bi_encoder: Path, architecture: str, message: str
) -> None:
    """And what to do with it."""
    reshape(bi_encoder, "logits", 3)
    (bi_encoder / "config.json").write_text(json.dumps({"architectures": [architecture]}))

    with pytest.raises(ConfigurationError, match=message):
        rank(bi_encoder, "a", ["cat"])


def test_a_causal_model_that_does_not_say_how_it_pools_is_refused(
    write_export: WriteExport,
) -> None:
    """The mean would be as good as random; with the file it runs."""
    files = {"config.json": {"architectures": ["Qwen3ForCausalLM"], "pad_token_id": 0}}
    folder = write_export(np.eye(12)[:, 4:], "last_hidden_state", files=files)

    with pytest.raises(ConfigurationError, match=r"without 1_Pooling/config\.json"):
        rank(folder, "a", ["cat"])
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "lasttoken"}')
    assert len(rank(folder, "a", ["cat"])[1]) == 1


@pytest.mark.parametrize(("default", "read"), [(None, "cat"), ("own", "red cat")])
def test_only_the_default_prompt_stands_before_a_cross_encoder_s_query(
    write_export: WriteExport, weights: Mapping[str, float], default: str | None, read: str
) -> None:
    """As sentence-transformers does; named prompts are not used without being the default."""
    prompts = {"own": "red ", "query": "king ", "document": "fox "}
    config = {"prompts": prompts, **({"default_prompt_name": default} if default else {})}
    files = {"config_sentence_transformers.json": config}
    folder = write_export([[weight] for weight in weights.values()], files=files)

    assert rank(folder, "cat", ["dog"])[1] == [weigh(weights, f"[CLS] {read} [SEP] dog [SEP]")]


@pytest.fixture
def chat(write_export: WriteExport, weights: Mapping[str, float]) -> Callable[..., Path]:
    """A cross-encoder with a template; the words' weights are added up."""

    def write(template: str = TEMPLATE, **files: Any) -> Path:
        stated = {"sentence_bert_config.json": {"max_seq_length": 8}, **files}
        folder = write_export([[weight] for weight in weights.values()], files=stated)
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
        return folder

    return write


def test_a_chat_template_is_rendered(
    chat: Callable[..., Path], weights: Mapping[str, float]
) -> None:
    """Without special tokens of the tokenizer's; a prompt is the system's message."""
    folder = chat()

    plain = rank(folder, "cat", ["fox"])[1]
    prompted = rank(folder, "cat", ["fox"], query_prompt="red")[1]

    assert plain == [weigh(weights, "query cat : fox dog king")]
    assert prompted == [weigh(weights, "king red query cat : fox dog king")]


def test_the_end_of_a_template_stays_where_a_document_is_cut(
    chat: Callable[..., Path], weights: Mapping[str, float]
) -> None:
    """Eight tokens, of which three are the document's; further windows have both ends, too."""
    response, found = rank(chat(), "cat", ["fox fox red a a", "fox"])
    windows = rank(chat(), "cat", ["fox fox red a red red"], max_chunks_per_doc=3)

    assert found[0] == weigh(weights, "query cat : fox fox red dog king")
    assert len(response.warnings) == 1
    assert "1 of 2 documents were cut" in response.warnings[0]
    assert "max_chunks_per_doc" in response.warnings[0]
    assert windows[1] == [weigh(weights, "query cat : a red red dog king")]
    assert not windows[0].warnings


@pytest.mark.parametrize("place", ["tokenizer_config.json", "list"])
def test_a_template_may_stand_in_the_tokenizer_s_file(
    write_export: WriteExport, weights: Mapping[str, float], place: str
) -> None:
    """Alone, or by name."""
    template: Any = TEMPLATE + "{{ eos_token }}"
    if place == "list":
        template = [{"name": "default", "template": template}]
    config = {"chat_template": template, "eos_token": {"content": " red"}}
    table = [[weight] for weight in weights.values()]
    folder = write_export(table, files={"tokenizer_config.json": config})

    assert rank(folder, "cat", ["fox"])[1] == [weigh(weights, "query cat : fox dog king red")]


def test_a_template_that_reads_parts_gets_parts(
    chat: Callable[..., Path], weights: Mapping[str, float]
) -> None:
    """As the library finds out."""
    folder = chat("{% for m in messages %}{{ m.content[0].text }} {% endfor %}")

    assert rank(folder, "cat", ["fox"])[1] == [weigh(weights, "cat fox")]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "role 'query'"),
        ("{{ messages[0].content }}", "leaves out the role 'document'"),
        ("{% if %}", "cannot be read"),
        ("{{ raise_exception('no user') }}", "cannot be rendered: no user"),
    ],
)
def test_a_template_that_takes_no_pair_is_refused(
    chat: Callable[..., Path], weights: Mapping[str, float], template: str, message: str
) -> None:
    """Unless the caller lays the texts out."""
    folder = chat(template)

    with pytest.raises(ConfigurationError, match=message) as caught:
        rank(folder, "cat", ["fox"])
    laid_out = rank(folder, "cat", ["fox"], document_prompt="king ", document_suffix=" red")[1]

    assert "document_suffix=" in str(caught.value)
    assert laid_out == [weigh(weights, "[CLS] cat [SEP] king fox red [SEP]")]


def test_a_folder_may_say_that_its_template_is_not_used(
    chat: Callable[..., Path], weights: Mapping[str, float]
) -> None:
    """As sentence-transformers writes it."""
    modalities = {"text": {"method": "forward", "method_output_name": "logits"}}
    folder = chat(**{"sentence_bert_config.json": {"modality_config": modalities}})

    assert rank(folder, "cat", ["fox"])[1] == [weigh(weights, "[CLS] cat [SEP] fox [SEP]")]


def test_what_a_template_is_rendered_with_is_read(
    chat: Callable[..., Path], weights: Mapping[str, float]
) -> None:
    """As the folder says it."""
    template = TEMPLATE + "{% if add_generation_prompt %} red{% endif %}"
    given = {"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}
    folder = chat(template, **{"sentence_bert_config.json": given})

    assert rank(folder, "cat", ["fox"])[1] == [weigh(weights, "query cat : fox dog king red")]


@pytest.mark.parametrize(
    ("stated", "what"),
    [({"text": {"max_length": 5}}, "text"), ({"chat_template": {"restore_suffix": False}}, "res")],
)
def test_what_a_folder_asks_for_and_is_not_done_is_refused(
    chat: Callable[..., Path], stated: Mapping[str, Any], what: str
) -> None:
    """Nothing of it is left out in silence."""
    folder = chat(**{"sentence_bert_config.json": {"processing_kwargs": stated}})

    with pytest.raises(ConfigurationError, match=f"processing_kwargs with '{what}"):
        rank(folder, "cat", ["fox"])


def test_a_suffix_stays_where_a_document_is_cut(
    write_export: WriteExport, weights: Mapping[str, float]
) -> None:
    """It is encoded with the text, and counts as the model's length."""
    files = {"sentence_bert_config.json": {"max_seq_length": 8}}
    folder = write_export([[weight] for weight in weights.values()], files=files)

    found = rank(folder, "a", ["cat fox", "cat dog red king"], document_suffix=" : a")[1]

    assert found[0] == weigh(weights, "[CLS] a [SEP] cat fox : a [SEP]")
    assert found[1] == weigh(weights, "[CLS] a [SEP] cat dog : a [SEP]")
    with pytest.raises(InvalidRequestError, match="too long"):
        rank(folder, "a a a", ["cat"], document_suffix=" : a")


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", ["cpu"]])
def test_a_provider_of_onnxruntime_is_chosen_by_name(cross_encoder: Path, name: Any) -> None:
    """In short or whole."""
    assert rank(cross_encoder, "a", ["cat"], providers=name)[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cuda",
            "'cuda' is not in this onnxruntime, which has .*cpu.* onnxruntime-gpu",
        ),
        ("CoreMLExecutionProvider", "It comes with onnxruntime on macOS"),
        ("directml", "onnxruntime-directml"),
        (["cpu", "nonsense"], "'nonsense' is not in this onnxruntime"),
        (5, "providers must be a name"),
        ([], "providers must be a name"),
    ],
)
def test_a_provider_that_is_not_there_is_an_error(
    cross_encoder: Path, name: Any, message: str
) -> None:
    """With how to get it."""
    with pytest.raises(ConfigurationError, match=message):
        rank(cross_encoder, "a", ["cat"], providers=name)


def test_a_provider_that_does_not_start_is_an_error(
    cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Onnxruntime goes on with the CPU in silence where a library of the GPU is missing."""
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    load = onnxruntime.InferenceSession

    def fall_back(*arguments: Any, **options: Any) -> Any:
        return load(*arguments, **{**options, "providers": names[1:]})

    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)

    with pytest.raises(ConfigurationError, match="cannot start it here: found CPUExecution"):
        rank(cross_encoder, "a", ["cat"], providers="cuda")


@pytest.mark.parametrize(
    ("similarity", "modules", "told"),
    [
        ("dot", [], True),
        ("euclidean", [], True),
        ("dot", [{"type": "sentence_transformers.models.Normalize"}], False),
        ("cosine", [], False),
        (None, [], False),
    ],
)
@pytest.mark.parametrize("model", ["onnx", "hybrid"])
def test_vectors_that_are_compared_otherwise_than_the_files_say_are_told(
    similarity: str | None,
    modules: list[dict[str, str]],
    model: str,
    write_export: WriteExport,
    *,
    told: bool,
) -> None:
    """A cosine orders by another measure, but where vectors have one length."""
    files = {
        "config_sentence_transformers.json": {"similarity_fn_name": similarity},
        "modules.json": modules,
    }
    folder = write_export(np.eye(12), "last_hidden_state", files=files)

    response = rerank(f"local/{model}:{folder}", "cat", ["cat", "dog"], kind="bi-encoder")

    assert [str(similarity) in warning for warning in response.warnings] == [True] * told


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.json", {"model_type": ["bert"], "max_position_embeddings": 9}, ""),
        ("tokenizer_config.json", {"chat_template": ["a template"]}, ""),
        ("sentence_bert_config.json", {"modality_config": ["message"]}, "modality_config"),
        ("sentence_bert_config.json", {"modality_config": {"message": "flat"}}, "message"),
        ("sentence_bert_config.json", {"processing_kwargs": ["padding"]}, "processing_kwargs"),
        ("sentence_bert_config.json", {"processing_kwargs": {"chat_template": [1]}}, "chat_temp"),
    ],
)
def test_a_file_of_another_shape_is_a_fault_of_the_folder(
    file: str, content: Any, words: str, cross_encoder: Path
) -> None:
    """By the name of what is wrong in it, or passed over where it does not matter."""
    (cross_encoder / "chat_template.jinja").write_text(TEMPLATE)
    if file == "tokenizer_config.json":
        (cross_encoder / "chat_template.jinja").unlink()
    (cross_encoder / file).write_text(json.dumps(content))

    if not words:
        assert rank(cross_encoder, "cat", ["dog"])[1]
        return
    with pytest.raises(ConfigurationError, match=f"{file}: expected {words}.* of type dict"):
        rank(cross_encoder, "cat", ["dog"])
