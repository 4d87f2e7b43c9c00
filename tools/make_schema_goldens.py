#!/usr/bin/env python3
"""Makes tests/golden/json_schema.json: schemas with texts that must be accepted and texts that must be refused. `jsonschema` is the judge.

    python3 tools/make_schema_goldens.py            # writes the file
    python3 tools/make_schema_goldens.py check FILE # validates the texts that test_constraint wrote (GLLM_TEST_WALKS=FILE)

From hand-written instances others are made by leaving keys and items out and by putting other values in their places. What jsonschema finds
invalid goes to "no"; what it finds valid and is written in the form that json_schema.h describes, to "yes". A schema marked `open` has valid
instances of other forms (keys that it does not name, types that it does not say), so that only the hand-written ones go to "yes" there."""
import copy
import importlib.metadata
import json
import pathlib
import random
import sys

import jsonschema

OUT = pathlib.Path(__file__).parent.parent / "tests/golden/json_schema.json"
STR, INT, NUM, BOOL, NULL = ({"type": t} for t in ("string", "integer", "number", "boolean", "null"))


def obj(required=None, more=None, **properties):
    s = {"type": "object", "properties": properties}
    if required is not None:
        s["required"] = required
    if more is not None:
        s["additionalProperties"] = more
    return s


NODE = {"$ref": "#/$defs/node", "$defs": {"node": obj(["v"], False, v=INT, left={"anyOf": [{"$ref": "#/$defs/node"}, NULL]}, right={"$ref": "#/$defs/node"})}}
# name, schema, instances, open
SCHEMAS = [
    ("true", True, [1, "a", None, True, [], {}, {"a": [1.5, {"b": None}]}], False),
    ("empty", {}, [1, "a", None, [1, 2], {"a": 1}], False),
    ("string", STR, ["", "a", "é \"quoted\" \\ \n\t\u0001 😀", "x" * 300], False),
    ("string-length", {"type": "string", "minLength": 2, "maxLength": 4}, ["ab", "abcd", "éé😀", "\n\n", "\"\"\"", "a", "abcde", "😀"], False),
    ("string-min", {"type": "string", "minLength": 3}, ["abc", "ab", "a" * 50], False),
    ("string-exact", {"type": "string", "minLength": 3, "maxLength": 3}, ["abc", "ab", "abcd"], False),
    ("integer", INT, [0, 1, -1, 123456789012345678, -5], False),
    ("number", NUM, [0, -1, 1.5, -0.25, 1e30, 2.5e-7, 123456.789], False),
    ("boolean", BOOL, [True, False], False),
    ("null", NULL, [None], False),
    ("types", {"type": ["string", "null", "integer"]}, ["a", None, 3], False),
    ("integer-range", {"type": "integer", "minimum": -12, "maximum": 345}, [-13, -12, -11, -10, -9, -1, 0, 1, 9, 10, 99, 100, 101, 299, 300, 339, 340, 345, 346, 350, 999, 1000, -100], False),
    ("integer-exclusive", {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10}, [0, 1, 5, 9, 10, -1, 11], False),
    ("integer-from", {"type": "integer", "minimum": 1000}, [999, 1000, 1001, 9999, 10000, 123456789, 0, -1000], False),
    ("integer-to", {"type": "integer", "maximum": -7}, [-6, -7, -8, -10, -70, -1000000, 0, 7, 8], False),
    ("integer-one", {"type": "integer", "minimum": 7, "maximum": 7}, [7, 6, 8, 77], False),
    ("integer-fraction-bounds", {"type": "integer", "minimum": 0.5, "maximum": 3.5}, [0, 1, 3, 4], False),
    ("number-range", {"type": "number", "minimum": -1.5, "maximum": 2.25}, [-1.5, -1.51, -1.4999, 0, 1, 2, 2.2, 2.25, 2.251, 2.3, 3, -2, -1, 0.001, -0.5], False),
    ("number-probability", {"type": "number", "minimum": 0, "maximum": 1}, [0, 1, 0.5, 0.999, 1.001, -0.1, 2, 1.0, 0.0], False),
    ("number-exclusive", {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0, 0.0, 1, 1.0, 0.5, 0.0001, 0.9999], False),
    ("number-from", {"type": "number", "minimum": 10.25}, [10, 10.2, 10.25, 10.3, 11, 100, 9.99, 1000.5, -11], False),
    ("number-large", {"type": "number", "maximum": 120000}, [120000, 120000.5, 119999.99, 5, -3.5, 200000, 120001], False),
    ("enum", {"enum": ["red", "green", 3, 2.5, None, True, ["a", 1], {"k": "v"}]}, ["red", "green", 3, 2.5, None, True, ["a", 1], {"k": "v"}, "re", "redd", 4, False, ["a"], {}], False),
    ("enum-strings", {"type": "string", "enum": ["a\"b", "c\\d", "e\nf", "é", "", "\u0001"]}, ["a\"b", "c\\d", "e\nf", "é", "", "\u0001", "x"], False),
    ("enum-typed", {"type": ["string", "null"], "enum": ["a", None, 3]}, ["a", None, 3], False),
    ("const", {"const": {"a": [1, 2, {"b": "c"}]}}, [{"a": [1, 2, {"b": "c"}]}, {"a": [1, 2]}, {}], False),
    ("const-number", {"const": -3}, [-3, 3, -33], False),
    ("object-any", {"type": "object"}, [{}, {"a": 1}, {"a": {"b": [1, None]}, "c": "d"}], False),
    ("object", obj(["a"], False, a=STR, b=INT, c=BOOL), [{"a": "x", "b": 1, "c": True}, {"a": "x"}, {"a": "", "c": False}, {"b": 1}], False),
    ("object-optional", obj(None, False, a=INT, b=INT, c=INT), [{}, {"a": 1}, {"b": 2}, {"c": 3}, {"a": 1, "b": 2}, {"a": 1, "c": 2}, {"b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}], False),
    ("object-all", obj(["a", "b"], False, a=INT, b=INT), [{"a": 1, "b": 2}, {"a": 1}, {"b": 2}, {}], False),
    ("object-middle", obj(["b"], False, a=INT, b=INT, c=INT), [{"b": 1}, {"a": 1, "b": 2}, {"b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}], False),
    ("object-empty", obj(None, False), [{}, {"a": 1}], False),
    ("object-open", obj(["a"], None, a=INT), [{"a": 1}], True),
    ("object-more", obj(["a"], True, a=INT), [{"a": 1}, {"a": 1, "b": "x", "c": [1]}, {"a": 1, "é": None}, {"b": 1}, {"a": "x"}], False),
    ("object-more-typed", obj(["ab"], STR, ab=INT, abc=INT), [{"ab": 1, "x": "y"}, {"ab": 1, "abc": 2, "abcd": "z", "a": "q"}, {"ab": 1, "x": 2}, {"ab": 1, "abc": "s"}, {"ab": 1, "": "e"}], False),
    ("object-map", {"type": "object", "additionalProperties": INT}, [{}, {"a": 1}, {"a": 1, "b": 2, "c d": 3}, {"a": "x"}], False),
    ("object-required-only", {"type": "object", "required": ["a", "b"], "additionalProperties": True}, [{"a": 1, "b": "x"}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {}], False),
    ("object-odd-names", obj(["a\"b", "é", "c\\d", "~/"], False, **{"a\"b": INT, "é": INT, "c\\d": INT, "~/": INT, "": INT}), [{"a\"b": 1, "é": 2, "c\\d": 3, "~/": 4, "": 5}, {"a\"b": 1, "é": 2, "c\\d": 3, "~/": 4}, {"é": 2}], False),
    ("object-forbidden", obj(None, True, a=False, b=INT), [{"b": 1}, {}, {"b": 1, "c": 2}, {"a": 1}], False),
    ("nested", obj(["user"], False, user=obj(["name"], False, name=STR, address=obj(["street"], False, street=STR, zip={"type": "string", "pattern": "^[0-9]{5}$"})), tags={"type": "array", "items": STR}),
     [{"user": {"name": "A", "address": {"street": "S", "zip": "12345"}}, "tags": ["a", "b"]}, {"user": {"name": "A"}}, {"user": {"name": "A", "address": {"street": "S", "zip": "1234"}}}], False),
    ("array-any", {"type": "array"}, [[], [1, "a", None, [], {}]], False),
    ("array", {"type": "array", "items": INT}, [[], [1], [1, 2, 3], ["a"], [1, "a"]], False),
    ("array-bounds", {"type": "array", "items": INT, "minItems": 2, "maxItems": 4}, [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]], False),
    ("array-min", {"type": "array", "items": BOOL, "minItems": 1}, [[], [True], [True, False, True]], False),
    ("array-max", {"type": "array", "items": BOOL, "maxItems": 1}, [[], [True], [True, False]], False),
    ("array-none", {"type": "array", "items": INT, "maxItems": 0}, [[], [1]], False),
    ("array-false", {"type": "array", "items": False}, [[], [1]], False),
    ("array-arrays", {"type": "array", "items": {"type": "array", "items": NUM, "minItems": 1}}, [[], [[1]], [[1.5, 2], [3]], [[]], [1]], False),
    ("tuple", {"type": "array", "prefixItems": [INT, STR, BOOL], "items": False}, [[], [1], [1, "a"], [1, "a", True], [1, "a", True, 1], ["a"]], False),
    ("tuple-more", {"type": "array", "prefixItems": [INT, STR], "items": NULL, "minItems": 1, "maxItems": 4}, [[], [1], [1, "a"], [1, "a", None], [1, "a", None, None], [1, "a", None, None, None], [1, None]], False),
    ("tuple-exact", {"type": "array", "prefixItems": [INT, INT], "items": False, "minItems": 2}, [[1, 2], [1], [1, 2, 3], []], False),
    ("tuple-open", {"type": "array", "prefixItems": [INT, STR]}, [[], [1], [1, "a"]], True),
    ("any-of", {"anyOf": [INT, STR, {"type": "array", "items": INT}]}, [1, "a", [1], ["a"], None], False),
    ("any-of-objects", {"anyOf": [obj(["a"], False, a=INT), obj(["b"], False, b=STR)]}, [{"a": 1}, {"b": "x"}, {"a": "x"}, {"b": 1}, {}], False),
    ("any-of-beside", dict(obj(None, False, a=INT, b=INT, c=STR), anyOf=[{"required": ["a"]}, {"required": ["b"]}]), [{"a": 1}, {"b": 2}, {"a": 1, "b": 2, "c": "x"}, {"c": "x"}, {}], False),
    ("one-of", {"oneOf": [INT, STR, NULL]}, [1, "a", None, True], False),
    ("one-of-tagged", {"oneOf": [obj(["kind", "r"], False, kind={"const": "circle"}, r=NUM), obj(["kind", "w"], False, kind={"const": "square"}, w=NUM)]},
     [{"kind": "circle", "r": 1.5}, {"kind": "square", "w": 2}, {"kind": "circle", "w": 2}, {"kind": "x", "r": 1}], False),
    ("one-of-keys", {"oneOf": [obj(["a"], False, a=INT), obj(["b"], False, b=INT)]}, [{"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {}], False),
    ("all-of", {"allOf": [obj(["a"], None, a=INT), obj(["b"], None, b=STR)]}, [{"a": 1, "b": "x"}, {"a": 1}, {"b": "x"}], True),
    ("all-of-bounds", {"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 9}, {"minimum": 3}]}, [4, 5, 9, 10], False),
    ("all-of-types", {"allOf": [{"type": ["string", "integer", "null"]}, {"type": ["integer", "null", "array"]}]}, [1, None, "a", []], False),
    ("all-of-closed", {"allOf": [obj(None, False, a=INT, b=INT), {"type": "object", "required": ["b"]}]}, [{"a": 1, "b": 2}, {"b": 2}, {"a": 1}], False),
    ("all-of-properties", {"allOf": [obj(None, False, a={"type": "integer", "minimum": 3}), obj(None, False, a={"type": "integer", "maximum": 5})]}, [{"a": 2}, {"a": 3}, {"a": 5}, {"a": 6}, {}], False),
    ("all-of-enum", {"allOf": [{"enum": ["a", "b", "c"]}, {"enum": ["b", "c", "d"]}]}, ["a", "b", "c", "d"], False),
    ("all-of-any-of", {"allOf": [{"anyOf": [{"type": "integer", "maximum": 5}, STR]}, {"anyOf": [{"type": "integer", "minimum": 2}, NULL]}]}, [1, 2, 5, 6, "a", None], False),
    ("ref", {"type": "array", "items": {"$ref": "#/$defs/p"}, "$defs": {"p": obj(["x", "y"], False, x=NUM, y=NUM)}}, [[], [{"x": 1, "y": 2}], [{"x": 1}]], False),
    ("ref-definitions", obj(["a"], False, a={"$ref": "#/definitions/s~1t"}) | {"definitions": {"s/t": {"type": "string", "maxLength": 2}}}, [{"a": "x"}, {"a": "xyz"}], False),
    ("ref-beside", {"$ref": "#/$defs/n", "maximum": 10, "description": "d", "$defs": {"n": {"type": "integer", "minimum": 5}}}, [4, 5, 10, 11], False),
    ("recursive", NODE, [{"v": 1}, {"v": 1, "left": None}, {"v": 1, "left": {"v": 2, "right": {"v": 3}}}, {"v": 1, "right": None}, {"v": 1, "left": {}}], False),
    ("recursive-root", obj(["name"], False, name=STR, children={"type": "array", "items": {"$ref": "#"}}), [{"name": "a"}, {"name": "a", "children": [{"name": "b"}, {"name": "c", "children": []}]}, {"name": "a", "children": [1]}], False),
    ("recursive-mutual", {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}}, "b": obj(["a"], False, a={"$ref": "#/$defs/a"})}}, [[], [{"a": []}], [{"a": [{"a": []}]}], [[]], [{}]], False),
    ("pattern", {"type": "string", "pattern": "^[a-z]{2,3}-\\d+$"}, ["ab-1", "abc-123", "a-1", "abcd-1", "ab-", "ab-1x"], False),
    ("pattern-alternatives", {"type": "string", "pattern": "^(?:foo|ba[rz])(?:,(?:foo|ba[rz]))*$"}, ["foo", "bar,baz", "foo,", "fo", "foo,bar,foo"], False),
    ("pattern-open", {"type": "string", "pattern": "b+c"}, ["bc", "abbcd", "ac", "xbbbcx"], True),
    ("pattern-start", {"type": "string", "pattern": "^ab"}, ["ab", "abc", "xab"], True),
    ("pattern-branches", {"type": "string", "pattern": "^a$|^b"}, ["a", "b", "bx", "ax", "xa"], True),
    ("pattern-escapes", {"type": "string", "pattern": "^[\"\\\\/\\n]{1,4}\\.\\$$"}, ["\"\\/\n.$", "\".$", ".$", "a.$"], False),
    ("pattern-negated", {"type": "string", "pattern": "^[^a\"][^b-z ].$"}, ["b1x", "é2-", "a1x", "\"1x", "b x", "b11x"], False),
    ("date", {"type": "string", "format": "date"}, ["2024-02-29", "2023-02-29", "2000-02-29", "1900-02-29", "2024-12-31", "2024-04-31", "2024-13-01", "2024-00-10", "2024-1-1"], False),
    ("time", {"type": "string", "format": "time"}, ["12:30:00Z", "23:59:59.5+01:00", "24:00:00Z", "12:60:00Z", "12:30"], False),
    ("date-time", {"type": "string", "format": "date-time"}, ["2024-02-29T12:30:00Z", "2024-02-30T12:30:00Z", "2024-02-29T12:30:00-05:30", "2024-02-29"], False),
    ("uuid", {"type": "string", "format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000", "x"], False),
    ("ipv4", {"type": "string", "format": "ipv4"}, ["1.2.3.4", "255.0.10.199", "256.1.1.1", "1.2.3"], False),
    ("email", {"type": "string", "format": "email"}, ["a@b.org", "first.last@mail.example.com", "nobody"], True),
    ("implied", {"properties": {"a": {"minimum": 3}}, "additionalProperties": False}, [{"a": 3}, {}, {"a": 2}], True),
    ("notes", {"type": "integer", "title": "t", "description": "d", "default": 1, "examples": [1], "$comment": "c", "deprecated": True, "x-note": {"any": "thing"}}, [1, "a"], False),
    ("pydantic", {"$defs": {"Color": {"enum": ["red", "blue"], "title": "Color", "type": "string"}, "Item": {"properties": {"name": {"title": "Name", "type": "string"}, "price": {"exclusiveMinimum": 0, "title": "Price", "type": "number"}, "color": {"anyOf": [{"$ref": "#/$defs/Color"}, {"type": "null"}], "default": None}}, "required": ["name", "price"], "title": "Item", "type": "object"}},
      "properties": {"items": {"items": {"$ref": "#/$defs/Item"}, "minItems": 1, "title": "Items", "type": "array"}, "note": {"anyOf": [{"maxLength": 10, "type": "string"}, {"type": "null"}], "default": None, "title": "Note"}}, "required": ["items"], "title": "Order", "type": "object", "additionalProperties": False},
     [{"items": [{"name": "a", "price": 1.5}]}, {"items": [{"name": "a", "price": 2, "color": "red"}, {"name": "b", "price": 0.5, "color": None}], "note": None}, {"items": []}, {"items": [{"name": "a", "price": 0}]}, {"items": [{"name": "a", "price": 1, "color": "green"}]}], True),
]
PALETTE = [0, 1, -1, 1.5, 1000, "", "x", "a long text indeed", None, True, [], {}, [1], ["x"], {"zz": 1}]


def validator(schema):
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def places(v, path=()):
    yield path
    items = v.items() if isinstance(v, dict) else enumerate(v) if isinstance(v, list) else ()
    for k, w in items:
        yield from places(w, path + (k,))


def changed(v, rng):
    """v with one key or item left out, doubled, or replaced."""
    path = rng.choice(list(places(v)))
    if not path:
        return copy.deepcopy(rng.choice(PALETTE))
    v = copy.deepcopy(v)
    at = v
    for k in path[:-1]:
        at = at[k]
    kind = rng.randrange(4)
    if kind == 0:
        del at[path[-1]]
    elif kind == 1 and isinstance(at, list):
        at.insert(path[-1], copy.deepcopy(at[path[-1]]))
    else:
        at[path[-1]] = copy.deepcopy(rng.choice(PALETTE))
    return v


def text(v, rng):
    return json.dumps(v, ensure_ascii=False, separators=rng.choice([(",", ":"), (", ", ": "), (", ", ":")]))


def make():
    rng, cases = random.Random(5), []
    for name, schema, instances, is_open in SCHEMAS:
        judge, yes, no = validator(schema), [], []
        for v in instances:
            (yes if judge.is_valid(v) else no).append(text(v, rng))
        assert yes, name
        seen = set(yes) | set(no)
        for _ in range(60):
            v = changed(rng.choice(instances), rng)
            t = text(v, rng)
            if t in seen:
                continue
            seen.add(t)
            if not judge.is_valid(v):
                no.append(t)
            elif not is_open:
                yes.append(t)
        cases.append({"name": name, "schema": schema, "yes": yes[:40], "no": no[:40]})
    made = {"made_by": f"tools/make_schema_goldens.py, jsonschema {importlib.metadata.version('jsonschema')}", "cases": cases}
    OUT.write_text(json.dumps(made, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")
    print(f"{OUT}: {len(cases)} schemas, {sum(len(c['yes']) for c in cases)} valid and {sum(len(c['no']) for c in cases)} invalid texts")


def check(path):
    judges = {name: validator(schema) for name, schema, _, _ in SCHEMAS}
    n = bad = 0
    for line in open(path, encoding="utf-8", errors="surrogateescape"):
        name, _, t = line.rstrip("\n").partition("\t")
        n += 1
        problem = next(iter(judges[name].iter_errors(json.loads(t))), None)
        if problem:
            bad += 1
            print(f"{name}: {t}: {problem.message}")
    print(f"{n} texts of walks, {bad} invalid")
    sys.exit(bad > 0 or n == 0)


if len(sys.argv) > 2 and sys.argv[1] == "check":
    check(sys.argv[2])
make()
