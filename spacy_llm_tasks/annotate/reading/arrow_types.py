"""Arrow types of columns that are carried through, and the values that pass through Python.

Every type that Parquet can hold comes out as it went in. Three kinds have no exact form in Python
and pass as plain integers: times in nanoseconds and durations, since 1970 or midnight where that
applies. Time zones pass as UTC; the type keeps the zone.
"""

from typing import Any

from ...streams import pyarrow


def kept_type(type: Any) -> Any:
    """The type that a column is written with: that of the input, without the ways of storing it
    that are the file's own affair (dictionaries, extension types).

    type (pyarrow.DataType): Type in an input file.
    RETURNS (pyarrow.DataType): The type to write.
    """
    return _rebuilt(type, exact=True)


def passing_type(type: Any) -> Any:
    """The type as which a column passes through Python.

    type (pyarrow.DataType): What `kept_type` gave.
    RETURNS (pyarrow.DataType): A type to which, and from which, Arrow casts it without loss.
    """
    return _rebuilt(type, exact=False)


def _rebuilt(type: Any, *, exact: bool) -> Any:
    pa, types = pyarrow("pyarrow"), pyarrow("pyarrow.types")
    if isinstance(type, pa.BaseExtensionType):
        return _rebuilt(type.storage_type, exact=exact)
    if types.is_dictionary(type):
        return _rebuilt(type.value_type, exact=exact)
    if types.is_struct(type):
        return pa.struct([_field(type.field(i), exact) for i in range(type.num_fields)])
    if types.is_map(type):
        key, item = _field(type.key_field, exact), _field(type.item_field, exact)
        return pa.map_(key, item)
    if types.is_fixed_size_list(type):
        return pa.list_(_field(type.value_field, exact), type.list_size)
    if types.is_large_list(type):
        return pa.large_list(_field(type.value_field, exact))
    if types.is_list(type):
        return pa.list_(_field(type.value_field, exact))
    if exact:
        return type
    if types.is_duration(type):
        return pa.int64()
    if types.is_timestamp(type):
        if type.unit == "ns":
            return pa.int64()
        return pa.timestamp(type.unit, "UTC") if type.tz else type
    if types.is_time64(type) and type.unit == "ns":
        return pa.int64()
    return type


def _field(field: Any, exact: bool) -> Any:
    return field.with_type(_rebuilt(field.type, exact=exact))
