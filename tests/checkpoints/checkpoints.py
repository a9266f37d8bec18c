"""Tiny checkpoints with random weights, and what sentence-transformers says of them.

`python tests/checkpoints/checkpoints.py <folder>` runs in the environment `torch` (see
`tests/environments.py`). It writes each checkpoint, exports it to ONNX, and leaves `cases.json`:
what was asked, the library's scores, and those of this project where it runs the checkpoint itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from optimum.exporters.onnx import main_export
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import rerank_local
from rerank_core import Reranker, RerankResponse

QUERY = "what is a red fox"
DOCUMENTS = [
    "the fox is red and quick",
    "A Dog, a cat; and a king!",
    "is it a fox? it is",
    "red " * 90,
    "  what   is it \n",
    "naive cafe zebra",
]
WORDS = (
    *("a", "and", "cat", "dog", "fox", "is", "it", "king", "query", "quick", "red", "the"),
    *("what", "document", "yes", "no", "instruct"),
)
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>", "<|im_start|>", "<|im_end|>"]
NAMED = {"pad_token": "<pad>", "unk_token": "<unk>"}
NAMED |= {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
CHAT = (
    "{%- for m in messages if m.role == 'system' %}<|im_start|>instruct {{ m.content }}<|im_end|>"
    "\n{% endfor -%}<|im_start|>query {{ messages | selectattr('role', 'eq', 'query') |"
    " map(attribute='content') | first }}\n<|im_end|>document {{ messages | selectattr('role',"
    " 'eq', 'document') | map(attribute='content') | first }}<|im_end|>\nyes no\n"
)
SMALL: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}


def make_tokenizer(kind: str) -> Tokenizer:
    """One that fits the architecture: pairs with types, doubled separators, or bytes alone."""
    if kind == "qwen3":
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {word: at for at, word in enumerate([*SPECIAL, *letters])}
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    elif kind == "xlm-roberta":
        pieces = [*SPECIAL[:4], *(f"▁{word}" for word in WORDS), *"abcdefghiknoqrstuwxyz▁"]
        scored = [(piece, -float(at)) for at, piece in enumerate(pieces)]
        tokenizer = Tokenizer(models.Unigram(scored, 1))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>",
            pair="<s> $A </s> </s> $B </s>",
            special_tokens=[("<s>", 2), ("</s>", 3)],
        )
    else:
        letters = [*"abcdefghiknoqrstuwxyz,;!?"]
        pieces = [*SPECIAL[:5], *WORDS, *letters, *(f"##{letter}" for letter in letters)]
        vocabulary = {word: at for at, word in enumerate(dict.fromkeys(pieces))}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=NAMED["unk_token"]))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        second = "" if kind == "modernbert" else ":1"
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>",
            pair=f"<s> $A </s> $B{second} </s>{second}",
            special_tokens=[("<s>", 2), ("</s>", 3)],
        )
    return tokenizer


CONFIGS: Mapping[str, Callable[..., Any]] = {
    "bert": lambda **more: tf.BertConfig(max_position_embeddings=64, **more),
    "xlm-roberta": lambda **more: tf.XLMRobertaConfig(max_position_embeddings=66, **more),
    "deberta-v2": lambda **more: tf.DebertaV2Config(
        max_position_embeddings=64,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        type_vocab_size=0,
        **more,
    ),
    "modernbert": lambda **more: tf.ModernBertConfig(
        max_position_embeddings=64, cls_token_id=2, sep_token_id=3, reference_compile=False, **more
    ),
    "qwen3": lambda **more: tf.Qwen3Config(
        max_position_embeddings=256, num_key_value_heads=2, head_dim=8, **more
    ),
}


def write_checkpoint(folder: Path, kind: str, labels: int | None) -> None:
    """A model with a head for so many labels, or with none, and its tokenizer."""
    tokenizer = make_tokenizer(kind)
    fast = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **NAMED,
        additional_special_tokens=SPECIAL[5:] if kind == "qwen3" else [],
        model_max_length=64 if kind != "qwen3" else 160,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"]
        + ["token_type_ids"] * (kind in {"bert", "deberta-v2"}),
    )
    torch.manual_seed(len(kind) + (labels or 0))
    more = {} if labels is None else {"num_labels": labels}
    config = CONFIGS[kind](**SMALL, vocab_size=len(fast), initializer_range=0.5, **more)
    auto = tf.AutoModel if labels is None else tf.AutoModelForSequenceClassification
    auto.from_config(config).eval().save_pretrained(folder)
    fast.save_pretrained(folder)


def export(source: Path, target: Path, task: str) -> None:
    """As `optimum-cli export onnx` does, with the files that it leaves out."""
    main_export(
        str(source), str(target), task=task, library_name="transformers", do_validation=False
    )
    for path in [*source.glob("*.json*"), *source.glob("1_Pooling/*"), *source.glob("*.jinja")]:
        other = target / path.relative_to(source)
        other.parent.mkdir(exist_ok=True)
        if not other.exists():
            other.write_bytes(path.read_bytes())


PROMPTS = {"prompts": {"own": "what is it? ", "other": "no: "}, "default_prompt_name": "own"}


def cross_encoders(home: Path) -> Iterator[dict[str, Any]]:
    """Every architecture with one label and two, with and without prompts and template."""
    for kind in CONFIGS:
        for labels in (1, 2):
            for prompted in (False, True):
                for chat in (False, True) if kind == "qwen3" else (False,):
                    name = f"{kind}-{labels}{'-prompt' * prompted}{'-chat' * chat}"
                    folder = home / name
                    write_checkpoint(folder, kind, labels)
                    if chat:
                        (folder / "chat_template.jinja").write_text(CHAT, encoding="utf-8")
                    model = CrossEncoder(str(folder), device="cpu", **(PROMPTS if prompted else {}))
                    model.save_pretrained(str(folder))
                    pairs = [(QUERY, document) for document in DOCUMENTS]
                    logits = model.predict(pairs, activation_fn=torch.nn.Identity(), batch_size=4)
                    predicted = model.predict(pairs, batch_size=4)
                    yield describe(home, name, "text-classification", logits, predicted)


def scores_of(response: RerankResponse) -> list[float | None]:
    """The scores in the order of the documents."""
    scores = {result.index: result.relevance_score for result in response.results}
    return [scores[at] for at in sorted(scores)]


def describe(home: Path, name: str, task: str, logits: Any, predicted: Any) -> dict[str, Any]:
    """One case: the library's scores, and ours in torch."""
    export(home / name, home / f"{name}-onnx", task)
    with Reranker(f"sentence-transformers:{home / name}", provider=rerank_local) as reranker:
        response = reranker.rerank(QUERY, DOCUMENTS, batch_size=4)
    activation = "none" if task == "text-classification" else None
    with Reranker(
        f"sentence-transformers:{home / name}", provider=rerank_local, activation=activation
    ) as reranker:
        plain = scores_of(reranker.rerank(QUERY, DOCUMENTS, document_prompt=None))
    single = [
        (row[:, 1] - row[:, 0] if row.ndim > 1 else row).tolist() for row in (logits, predicted)
    ]
    return {
        "name": name,
        "folder": str(home / f"{name}-onnx"),
        "logits": single[0],
        "predicted": single[1],
        "in_torch": scores_of(response),
        "in_torch_plain": plain,
        "query": QUERY,
        "documents": DOCUMENTS,
        "kind": response.payload["kind"],
    }


def bi_encoders(home: Path) -> Iterator[dict[str, Any]]:
    """Every architecture, with and without prompts."""
    for kind in CONFIGS:
        for prompted in (False, True):
            name = f"{kind}-bi{'-prompt' * prompted}"
            folder = home / name
            write_checkpoint(home / f"{name}-bare", kind, None)
            transformer = Transformer(str(home / f"{name}-bare"))
            size = transformer.get_embedding_dimension()
            pooling = Pooling(size, pooling_mode="lasttoken" if kind == "qwen3" else "mean")
            prompts = {"query": "what: ", "document": "it is: "} if prompted else None
            model = SentenceTransformer(
                modules=[transformer, pooling], prompts=prompts, device="cpu"
            )
            model.save_pretrained(str(folder))
            query = model.encode_query(QUERY, normalize_embeddings=True)
            cosines = model.encode_document(DOCUMENTS, normalize_embeddings=True) @ query
            yield describe(home, name, "feature-extraction", cosines, cosines)


def main(home: Path) -> None:
    """Write every checkpoint and what was found."""
    cases = [*cross_encoders(home), *bi_encoders(home)]
    (home / "cases.json").write_text(json.dumps(cases), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
