"""Texts that break tokenizers: a fixed list, and a hypothesis strategy that mixes such things."""

from hypothesis import strategies as st

TEXTS = [
    "",
    " ",
    "   \t \n ",
    "A plain sentence, with punctuation.",
    "Two  spaces   and a trailing one ",
    " leading space",
    "line\r\nbreaks\rof\nall kinds\u2028and\u2029more\x85here",
    "non\u00a0breaking\u202fspaces\u3000ideographic",
    "cafe\u0301 and caf\u00e9, A\u030angstro\u0308m",
    "stacked z\u0351\u036b\u0343\u0329a\u0322\u0489 marks",
    "reordered a\U0001d16d\U0001d165b \u302e\u302f",
    "\u0301starts with a mark",
    "zero\u200bwidth\u200cjoiners\u200dand\u2060others\ufeff",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 flag \U0001f1e9\U0001f1ea",
    "skin \U0001f44d\U0001f3fd heart \u2764\ufe0f keycap 1\ufe0f\u20e3",
    "\u0634\u0643\u0631\u064b\u0627 \u202eright to left\u202c \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u4e2d\u6587\u5b57mixed\u6df7\u5408\u3053\u3093\u306b\u3061\u306f",
    "\ud55c\uad6d\uc5b4 \u1100\u1161\u11a8",
    "\U00020000\U0002a6d6 rare ideographs",
    "nul\x00inside \x01\x02\x7f\x9f controls \ufffd",
    "lone \ud800 surrogates \udfff\ud83d here",
    "\u0130stanbul \u1e9eTRA\u00dfE \ufb01ne \u01c4 \u2167 \u00bd \u2460",
    "\U0001d573\U0001d58a\U0001d591\U0001d591\U0001d594 fancy",
    "[CLS] hello [SEP] you[MASK]there [UNK] [PAD]",
    "<s>hello</s> you <mask>there <unk><pad> <s",
    "[cls] [ MASK ] [MASK][MASK]",
    "can't won't I'LL we've 'tis o'clock",
    "https://example.org/a?b=c&d=%20#e @user #tag $1,000.50 10^-3",
    "x" * 300,
    "\u00e9" * 150 + "\U0001f600" * 60,
    "a." * 120,
    "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940",
]

_NASTY = list("ab1 .'\n\r\t\x00\u00a0\u0301\u0323\u200d\ufe0f\u0130\ufb01\u4e2d\uac00\u1100\u1161")
_NASTY += ["\U0001f469", "\U0001f467", "\U0001d165", "\u302e", "\u05d0", "\u0634", "\ud800"]
_SPELLED = ["[CLS]", "[SEP]", " [MASK] ", "[UNK]", "<s>", "</s>", " <mask> ", "<pad>"]

texts = st.lists(
    st.one_of(
        st.text(st.one_of(st.characters(), st.sampled_from(_NASTY)), max_size=20),
        st.sampled_from(_SPELLED),
        st.sampled_from(["hello", " world", "The", "ing"]),
    ),
    max_size=5,
).map("".join)


def readable(text: str) -> str:
    """Lone surrogates replaced one to one, as `transformers` cannot be given them."""
    return "".join("\ufffd" if 0xD800 <= ord(char) < 0xE000 else char for char in text)
