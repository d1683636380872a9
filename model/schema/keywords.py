"""What becomes of every JSON Schema keyword. The table in the docs is made of this."""

from __future__ import annotations

from collections.abc import Mapping

from model.schema.patterns import FORMATS

ENFORCED: Mapping[str, str] = {
    "type": "a name or a list of names; `any` means any type",
    "nullable": "true adds null to `type` (OpenAPI 3.0)",
    "enum": "values that can be written exactly: integers below 2^63 that a double holds, fractions of 15 digits",
    "const": "as `enum`",
    "properties": "written in the declared order; closes the object unless `additionalProperties` is given",
    "required": "a name that nothing declares may hold any value",
    "additionalProperties": "written after the declared ones",
    "patternProperties": "with disjoint patterns; written after the declared ones",
    "propertyNames": "`enum` or `pattern` where no properties are declared, or any string",
    "minProperties": "1 beside optional properties that close the object; else at most one above what is required",
    "maxProperties": "1 beside optional properties that close the object; any where all declared ones are required",
    "unevaluatedProperties": "true; false beside `properties`, `allOf` and `$ref`",
    "items": "a schema, or draft 4's array of them",
    "prefixItems": "",
    "additionalItems": "beside an array of `items`",
    "minItems": "",
    "maxItems": "",
    "uniqueItems": "false, or where at most one item is allowed",
    "minLength": "in characters",
    "maxLength": "in characters",
    "pattern": "unanchored; no lookaround, back-references, word boundaries, flags or anchors in the middle",
    "format": "on strings: " + ", ".join(FORMATS),
    "minimum": "above 15 digits the next stricter bound that a double holds; within 2^63",
    "maximum": "as `minimum`",
    "exclusiveMinimum": "a number, or draft 4's boolean; as `minimum`",
    "exclusiveMaximum": "a number, or draft 4's boolean; as `minimum`",
    "multipleOf": "up to 10,000 in significant digits; not in or beside combined schemas",
    "anyOf": "",
    "oneOf": "where the options exclude each other by type, constant or a required property",
    "allOf": "",
    "$ref": "within the schema, recursive too",
    "$defs": "",
    "definitions": "",
    "discriminator": "its `propertyName` is required of each option of `oneOf`",
}
"""Keywords that shape the grammar, each with its limits."""

REFUSED = frozenset(
    "not if then else dependentRequired dependentSchemas dependencies contains minContains maxContains "
    "unevaluatedItems $dynamicRef $recursiveRef extends disallow divisibleBy".split()
)
"""Keywords that constrain values and that the engine has no means for: a schema with one is refused."""

ANNOTATIONS = frozenset(
    "title description default example examples deprecated readOnly writeOnly strict $schema $id id $comment $anchor "
    "$dynamicAnchor $recursiveAnchor $vocabulary contentEncoding contentMediaType contentSchema externalDocs "
    "xml".split()
)
"""Keywords ignored by design; so is every name that no draft of JSON Schema defines, `x-…` among them."""

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

OPENING = ("patternProperties", "propertyNames")
OBJECT = frozenset(
    "properties required additionalProperties patternProperties propertyNames minProperties maxProperties "
    "unevaluatedProperties".split()
)
ARRAY = frozenset("items prefixItems additionalItems minItems maxItems uniqueItems".split())
STRING = frozenset("minLength maxLength pattern format".split())
NUMBER = frozenset("minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split())
COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
LITERAL = ("enum", "const")
MODIFIERS = frozenset({"$defs", "definitions", "nullable", "discriminator"})
"""Keywords that change how others are read, but constrain nothing by themselves."""
