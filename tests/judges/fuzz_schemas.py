#!/usr/bin/env python3
"""Random JSON schemas, each given to the server as the form of an answer: fuzz_schemas.py [N].

An answer that ends by itself must be valid against its schema; jsonschema judges. Answers that
max_tokens cuts are counted, and so are schemas that the server refuses with 400. A schema that
nothing satisfies (hypothesis-jsonschema finds those out) is not sent. `oneOf` is judged as `anyOf`,
as which it holds.
"""

import collections
import copy
import json
import pathlib
import sys
import warnings

import hypothesis
import hypothesis_jsonschema
import jsonschema
from hypothesis import strategies as st
from support import Server

MODEL = (pathlib.Path(__file__).resolve().parents[2]
         / "../shared/data/models/stories260K/stories260Ktok512.gguf")
NAMES = st.sampled_from(["a", "b", "name", "size of it", "ß\"\\"])
NUMBERS = st.one_of(st.integers(-20, 20), st.sampled_from([0.5, -1.25, 1e3]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text("ab é\"\n", max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=4)


def some(**fields):
    """A dictionary with some of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def ordered(schema, least, most):
    """Swaps two bounds that stand the wrong way round."""
    if least in schema and most in schema and schema[least] > schema[most]:
        schema[least], schema[most] = schema[most], schema[least]
    return schema


STRINGS = st.one_of(
    some(minLength=st.integers(0, 4), maxLength=st.integers(4, 12)),
    st.fixed_dictionaries({"pattern": st.sampled_from(
        ["^a+$", "^[a-c]{2,4}$", "b", "^(red|green)$", "^\\d{3}-\\d{2}$", "^[^\"]*$", "^\\w+\\s?$"])}),
    st.fixed_dictionaries({"format": st.sampled_from(
        ["date", "time", "date-time", "uuid", "email", "ipv4"])}),
).map(lambda more: {"type": "string", **more})
INTEGERS = some(minimum=st.integers(-200, 50), maximum=st.integers(0, 3000),
                multipleOf=st.sampled_from([1, 5])).map(
    lambda more: {"type": "integer", **ordered(more, "minimum", "maximum")})
REALS = some(minimum=st.sampled_from([-10, 0.5, 0]), exclusiveMaximum=st.sampled_from([1, 99.5])).map(
    lambda more: {"type": "number", **more})
LEAVES = st.one_of(
    STRINGS, INTEGERS, REALS, st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, True]),
    st.lists(VALUES, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    VALUES.map(lambda value: {"const": value}),
    st.lists(st.sampled_from(["string", "integer", "null", "boolean"]), min_size=1, max_size=3,
             unique=True).map(lambda types: {"type": types}))


def objects(inner):
    def finished(schema):
        names = list(schema.get("properties", {}))
        schema["required"] = [name for name in schema.get("required", []) if name in names] + names[:1]
        schema["required"] = list(dict.fromkeys(schema["required"]))
        return {"type": "object", **ordered(schema, "minProperties", "maxProperties")}
    return some(properties=st.dictionaries(NAMES, inner, max_size=3),
                required=st.lists(NAMES, max_size=3, unique=True),
                additionalProperties=st.one_of(st.booleans(), inner),
                patternProperties=st.dictionaries(st.sampled_from(["^x", "^[0-9]+$"]), inner,
                                                  min_size=1, max_size=1),
                minProperties=st.integers(0, 2), maxProperties=st.integers(2, 5)).map(finished)


def arrays(inner):
    return some(items=inner, prefixItems=st.lists(inner, min_size=1, max_size=3),
                minItems=st.integers(0, 3), maxItems=st.integers(1, 5),
                uniqueItems=st.booleans(), contains=inner).map(
        lambda more: {"type": "array", **ordered(more, "minItems", "maxItems")})


def combined(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(*(several.map(lambda parts, word=word: {word: parts})
                       for word in ("anyOf", "oneOf", "allOf")),
                     inner.map(lambda part: {"not": part, "type": "string"}),
                     st.tuples(inner, inner).map(lambda two: {"if": two[0], "then": two[1]}),
                     inner.map(lambda part: {"$defs": {"t": part}, "type": "array", "maxItems": 2,
                                             "items": {"$ref": "#/$defs/t"}}))


SCHEMAS = st.recursive(
    LEAVES, lambda inner: st.one_of(objects(inner), objects(inner), objects(inner), arrays(inner),
                                    arrays(inner), combined(inner)),
    max_leaves=6)


def is_satisfiable(schema):
    """Whether hypothesis-jsonschema finds anything valid."""
    try:
        return not hypothesis_jsonschema.from_schema(copy.deepcopy(schema)).is_empty
    except Exception:  # more than it can reckon with
        return True


def loosened(schema):
    if isinstance(schema, list):
        return [loosened(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    loose = {word: part if word in ("const", "enum") else loosened(part)
             for word, part in schema.items() if word != "oneOf"}
    if "oneOf" in schema:
        loose["allOf"] = [*loose.get("allOf", []), {"anyOf": loosened(schema["oneOf"])}]
    return loose


def judge(server, schema, seed, counts, faults):
    status, reply, _ = server.send("POST", "/v1/completions", {
        "prompt": "Once upon a time", "max_tokens": 400, "temperature": 1, "seed": seed,
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}})
    if status != 200:
        counts[f"status {status}"] += 1
        if status != 400:
            faults.append(f"{status} {json.dumps(schema)}: {reply}")
        return
    choice = reply["choices"][0]
    if choice["finish_reason"] != "stop":
        counts["cut"] += 1
        return
    try:
        jsonschema.Draft202012Validator(loosened(schema)).validate(json.loads(choice["text"]))
        counts["valid"] += 1
    except (ValueError, jsonschema.ValidationError) as error:
        counts["invalid"] += 1
        faults.append(f"{json.dumps(schema)}: {choice['text']!r}: {str(error).splitlines()[0]}")


def schemas(n):
    found = []

    @hypothesis.seed(1)
    @hypothesis.settings(max_examples=4 * n, database=None, deadline=None, derandomize=False,
                         suppress_health_check=list(hypothesis.HealthCheck),
                         phases=[hypothesis.Phase.generate])
    @hypothesis.given(SCHEMAS)
    def collect(schema):
        wrapped = schema if isinstance(schema, dict) else {"anyOf": [schema]}
        if len(found) < n and wrapped not in found and is_satisfiable(wrapped):
            found.append(wrapped)

    collect()
    return found


def main():
    warnings.simplefilter("ignore")
    if not MODEL.exists():
        sys.exit(f"{MODEL}: not there, nothing was judged")
    wanted = schemas(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
    counts, faults = collections.Counter(), []
    with Server("-c", 1024, model=MODEL) as server:
        for seed, schema in enumerate(wanted):
            judge(server, schema, seed, counts, faults)
    for fault in faults:
        print(fault)
    print(f"{len(wanted)} schemas: {dict(sorted(counts.items()))}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
