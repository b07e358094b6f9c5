"""Learn the pocket family's byte-pair vocabulary and write it as a CLIPTokenizer.

``python -m training.tokenizer`` writes ``models/pocket/tokenizer``. The vocabulary is small (2,048 tokens) so that the
token table does not outweigh the rest of a 4M-parameter CLIP.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from training import glyphs
from training.captions import COLOURS
from training.settings import models_folder, work_folder

VOCABULARY_SIZE = 2048
CONTEXT_LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = (
    "a an the of in on with and background style picture drawing icon emoji photo small big red green blue"
)


def corpus() -> list[str]:
    """Every word that a caption can hold; the vocabulary's own names count three times."""
    _, rows = glyphs.load(work_folder())
    names = sorted({glyph.name for glyph in rows})
    common = [WORDS, *COLOURS, *glyphs.STYLES]
    return names + 3 * glyphs.vocabulary() + 20 * common


def learn() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's layout: bytes, bytes that end a word, merges, then the two special tokens."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    room = VOCABULARY_SIZE - 2 * len(alphabet) - 2
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + 26 + room, initial_alphabet=alphabet, end_of_word_suffix="</w>"
    )
    learner.train_from_iterator(corpus(), trainer)
    merges = _merges(learner)[:room]
    tokens = [
        *alphabet,
        *(letter + "</w>" for letter in alphabet),
        *("".join(pair) for pair in merges),
        START,
        END,
    ]
    return {token: index for index, token in enumerate(tokens)}, merges


def _merges(learner: Tokenizer) -> list[tuple[str, str]]:
    pairs = json.loads(learner.to_str())["model"]["merges"]
    return [(left, right) for left, right in pairs]


def write_older_format(folder: Path) -> None:
    """Write ``vocab.json`` and ``merges.txt`` too, which transformers before 5 reads."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Learn the vocabulary and write the tokenizer's files."""
    vocabulary, merges = learn()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH, pad_token=END)
    folder = models_folder() / "pocket" / "tokenizer"
    tokenizer.save_pretrained(folder)
    write_older_format(folder)
    loaded = CLIPTokenizer.from_pretrained(folder)
    lengths = [len(loaded(name)["input_ids"]) - 2 for name in glyphs.vocabulary()]
    print(
        f"{len(loaded)} tokens; a name takes {sum(lengths) / len(lengths):.2f} on average, at most {max(lengths)}"
    )
    print(loaded.tokenize("a fluent red apple on a light blue background, zebra!"))


if __name__ == "__main__":
    main()
