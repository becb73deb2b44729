"""What to say of a name that is not known: the one that is nearest to it, or all there are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def hint_for(name: str, known: Sequence[str]) -> str:
    """Help somebody who has misspelt a setting.

    name (str): What was written.
    known (Sequence[str]): What could have been meant.
    RETURNS (str): A sentence.
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
