"""Make a cross-encoder of 9,000 random weights for llama.cpp: `python make_tiny_gguf.py FILE`.

It runs in the environment of the server, needs no model hub, and always makes the same model,
which puts documents into a fixed order without any meaning.
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"

from __future__ import annotations

import string
import sys
from collections.abc import Iterator

import numpy as np
from gguf import GGUFWriter, PoolingType, TokenType

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WIDTH, INNER, HEADS, MAX_TOKENS = 16, 32, 2, 128
PIECES = [*string.ascii_lowercase, *string.digits, *".,?!"]
# A piece at the beginning of a word has this mark, one inside a word has none.
TOKENS = [*SPECIAL_TOKENS, *(f"\u2581{piece}" for piece in PIECES), *PIECES]


def sizes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor of a BERT with one layer and a head of one score."""
    yield "token_embd.weight", (len(TOKENS), WIDTH)
    yield "token_types.weight", (2, WIDTH)
    yield "position_embd.weight", (MAX_TOKENS, WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield f"blk.0.{name}.weight", (WIDTH, WIDTH)
        yield f"blk.0.{name}.bias", (WIDTH,)
    yield "blk.0.ffn_up.weight", (INNER, WIDTH)
    yield "blk.0.ffn_up.bias", (INNER,)
    yield "blk.0.ffn_down.weight", (WIDTH, INNER)
    yield "blk.0.ffn_down.bias", (WIDTH,)
    yield "cls.weight", (WIDTH, WIDTH)
    yield "cls.bias", (WIDTH,)
    yield "cls.output.weight", (1, WIDTH)
    yield "cls.output.bias", (1,)


def main(path: str) -> None:
    """Write the file."""
    chance = np.random.default_rng(7)
    writer = GGUFWriter(path, "bert")
    writer.add_name("tiny-reranker")
    writer.add_context_length(MAX_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(PoolingType.RANK)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    special = len(SPECIAL_TOKENS)
    kinds = [TokenType.CONTROL] * special + [TokenType.NORMAL] * (len(TOKENS) - special)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    for add, token in (
        (writer.add_pad_token_id, "[PAD]"),
        (writer.add_unk_token_id, "[UNK]"),
        (writer.add_bos_token_id, "[CLS]"),
        (writer.add_eos_token_id, "[SEP]"),
        (writer.add_sep_token_id, "[SEP]"),
        (writer.add_mask_token_id, "[MASK]"),
    ):
        add(SPECIAL_TOKENS.index(token))
    for name, size in sizes():
        writer.add_tensor(name, chance.normal(0, 0.5, size).astype(np.float32))
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, dtype=np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
