import pytest

from rag import wordpieces


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("Hello, World!", ["hello", ",", "world", "!"]),
        ("unaffable", ["una", "##ffa", "##ble"]),
        ("Füße", ["fu", "##ße"]),
        ("naïve café", ["naive", "cafe"]),
        ("東京へ", ["東", "京", "へ"]),
        ("[SHIP-04] $5", ["[", "ship", "-", "04", "]", "$", "5"]),
        ("\u200bzero\x00width", ["zero", "##wi", "##dt", "##h"]),
        ("🎉" * 3 + " a", ["[UNK]", "a"]),
        ("x" * 101, ["[UNK]"]),
        ("", []),
    ],
)
def test_words_are_cut_as_bert_cuts_them(text, pieces):
    number = wordpieces.vocabulary()
    assert wordpieces.pieces(text) == [number[p] for p in pieces]
    assert wordpieces.count(text) == len(pieces)


def test_the_same_as_the_models_own_tokenizer():
    pytest.importorskip("sentence_transformers")
    from transformers import AutoTokenizer

    from rag.sbert import packaged

    own = AutoTokenizer.from_pretrained(str(packaged()))
    texts = ["Füße naïve 東京 日本語 Ελληνικά don't $5 ^~ `x` ＡＢＣ ½ İstanbul", "हिन्दी ไทย العربية 한국어 🎉👍🏽 \ufffd \u00ad a\u00adb", "e-mail: a.b@c.de\nhttps://x.y/z?a=1"]  # fmt: skip
    for text in texts:
        assert wordpieces.pieces(text) == own.encode(text, add_special_tokens=False)
