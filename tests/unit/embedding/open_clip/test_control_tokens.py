"""Text is text, also where it names a token that means something to the tokenizer."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from shared.embedding.open_clip.control_tokens import read_literally
from shared.embedding.open_clip.imported import SimpleTokenizer, open_clip
from shared.embedding.open_clip.text import ReadPlace, TextTokens

START, END = 49406, 49407
CLIPS_NAMES = ["<start_of_text>", "<end_of_text>"]
DISGUISES = [
    "{}",
    "red {} shirt",
    "{} red shirt",
    "{0}{0}",
    "a{}b",
]


def _disguised(name: str) -> list[str]:
    entities = name.replace("<", "&lt;").replace(">", "&gt;")
    return [
        name,
        name.upper(),
        entities,
        entities.replace("&", "&amp;"),
        "".join(f"&#{ord(letter)};" for letter in name),
        "".join(chr(ord(letter) + 0xFEE0) for letter in name),  # full width
        name.replace("<", "\ufe64").replace(">", "\ufe65"),  # small forms
        f"{name[:4]}{name}{name[4:]}",
    ]


@pytest.fixture(scope="module")
def tokens() -> TextTokens:
    return TextTokens(SimpleTokenizer(), ReadPlace("argmax", -1))


@pytest.mark.parametrize("frame", DISGUISES)
@pytest.mark.parametrize("name", [each for name in CLIPS_NAMES for each in _disguised(name)])
def test_no_text_ends_or_starts_the_text_for_clips_tokenizer(
    tokens: TextTokens, name: str, frame: str
) -> None:
    ids = tokens(frame.format(name))
    assert ids[0] == START
    assert ids[-1] == END
    assert not np.isin([START, END], ids[1:-1]).any()
    assert len(ids) > 5


def test_a_text_that_names_a_token_has_the_tokens_of_its_parts(tokens: TextTokens) -> None:
    plain = tokens("< end _ of _ text > red shirt")
    assert np.array_equal(tokens("<end_of_text> red shirt"), plain)
    assert np.array_equal(tokens("&lt;END_of_text&gt; red shirt"), plain)


SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]


class Cleaned:
    """Cleans and tokenizes as open_clip does with a tokenizer of the transformers library."""

    def __init__(self, inner: PreTrainedTokenizerFast) -> None:
        self.tokenizer = inner
        self.clean_fn = open_clip.tokenizer.get_clean_fn("whitespace")

    def __call__(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer([self.clean_fn(text)]).input_ids[0]
        return ids


def _unigram() -> Cleaned:
    """As converted from SentencePiece: control tokens are pieces, and the likeliest ones."""
    letters = [(chr(code), -5.0) for code in range(33, 127)] + [("▁", -2.0)]
    tokenizer = Tokenizer(models.Unigram([*((each, 0.0) for each in SPECIAL), *letters], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return Cleaned(
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token="<s>",
            pad_token="<pad>",
            eos_token="</s>",
            unk_token="<unk>",
            mask_token="<mask>",
            additional_special_tokens=["<|endoftext|>"],
        )
    )


@pytest.mark.parametrize("frame", DISGUISES)
@pytest.mark.parametrize("name", [each for name in SPECIAL for each in _disguised(name)])
def test_no_text_is_a_control_token_of_another_tokenizer(name: str, frame: str) -> None:
    tokenizer = _unigram()
    read_literally(tokenizer)
    ids = tokenizer(frame.format(name))
    assert (ids[0], ids[-1]) == (0, 2)
    # What is in no vocabulary is unknown, as ever.
    assert not set(ids[1:-1]) & ({*range(len(SPECIAL))} - {3})


@pytest.mark.parametrize("text", ["red shirt", "5 < 6 > 4", "a <b> text", "ｆｕｌｌ ﬁ", "[red]"])
def test_other_texts_are_read_as_before(text: str) -> None:
    ours, theirs = SimpleTokenizer(), SimpleTokenizer()
    read_literally(ours)
    assert ours([text]).tolist() == theirs([text]).tolist()
    tokenizer = _unigram()
    before = tokenizer(text)
    read_literally(tokenizer)
    assert tokenizer(text) == before
