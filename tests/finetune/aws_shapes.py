"""Holds values to botocore's own model of a service, stricter than its client does: patterns, choices, bounds, unknown names."""

import re
from functools import cache

import botocore.session


@cache
def service(name):
    return botocore.session.get_session().get_service_model(name)


def faults(shape, value, path=""):
    """What of a value is not as a shape says; timestamps are texts, as they come over the wire."""
    return list(_faults(shape, value, path or shape.name))


def _faults(shape, value, path):
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            yield f"{path}: not a structure"
            return
        yield from (f"{path}: {name} is missing" for name in shape.required_members if name not in value)
        for name, one in value.items():
            if name not in shape.members:
                yield f"{path}: unknown {name}"
            else:
                yield from _faults(shape.members[name], one, f"{path}.{name}")
    elif shape.type_name == "list":
        for n, one in enumerate(value):
            yield from _faults(shape.member, one, f"{path}[{n}]")
        yield from _bounds(shape, len(value), path)
    elif shape.type_name == "map":
        for key, one in value.items():
            yield from _faults(shape.key, key, f"{path}.{key}")
            yield from _faults(shape.value, one, f"{path}.{key}")
    else:
        yield from _plain(shape, value, path)


def _plain(shape, value, path):
    kinds = {
        "string": str,
        "timestamp": str,
        "integer": int,
        "long": int,
        "float": (int, float),
        "double": (int, float),
        "boolean": bool,
    }
    if not isinstance(value, kinds.get(shape.type_name, object)):
        yield f"{path}: {value!r} is no {shape.type_name}"
    elif shape.type_name == "timestamp" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        yield f"{path}: {value!r} is no time"
    elif isinstance(value, str) and shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path}: {value!r} is not {pattern}"
        yield from _bounds(shape, len(value), path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _bounds(shape, value, path)


def _bounds(shape, size, path):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{path}: {size} is not from {low} to {high}"
