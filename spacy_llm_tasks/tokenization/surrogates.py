"""Lone surrogates: Python strings may hold them, but no encoding of Unicode can."""

_REPLACED = {code: 0xFFFD for code in range(0xD800, 0xE000)}


def without_surrogates(text: str) -> str:
    """Put U+FFFD in the place of each lone surrogate, so that offsets stay what they are.

    text (str): any string.
    RETURNS (str): the same string where it has none.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.translate(_REPLACED)
    return text
