"""Values as strict JSON: what JSON has no form for is written as text."""

import base64
import datetime
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ...errors import Errors


def to_json(value: Any) -> str:
    """Write a value as JSON (RFC 8259), the same for the same value.

    value (Any): JSON values, bytes (as base64), dates and times (ISO 8601), decimals, and lists,
        tuples and mappings of these. Numbers that are not finite become null.
    RETURNS (str): One line, in which only what must be is escaped.
    RAISES (TypeError): For another kind of value.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # a number that is not finite
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(Errors.E809.format(found=type(value).__name__))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
