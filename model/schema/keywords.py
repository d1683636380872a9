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
    "minimum": "above 15 digits the next stricter one that a double holds; within 2^63, or 10^18 for fractions",
    "maximum": "as `minimum`",
    "exclusiveMinimum": "a number, or draft 4's boolean; as `minimum`, and of fractions the next one of 15 digits",
    "exclusiveMaximum": "as `exclusiveMinimum`",
    "multipleOf": "up to 10,000 in significant digits, its multiples up to 15; not in or beside combined schemas",
    "anyOf": "",
    "oneOf": "where the options exclude each other by type, constant or a required property",
    "allOf": "",
    "$ref": "within the schema, recursive too",
    "$defs": "",
    "definitions": "",
    "discriminator": "its `propertyName` is required of each option of `oneOf`",
}
"""Keywords that shape the grammar, each with its limits."""

REFUSED: Mapping[str, str] = {
    "not": "List what is allowed instead, with `enum`, `anyOf` or the bounds that are meant.",
    "if": "Write each case as a whole object and combine them with `anyOf`.",
    "then": "Write each case as a whole object and combine them with `anyOf`.",
    "else": "Write each case as a whole object and combine them with `anyOf`.",
    "dependentRequired": "Combine with `anyOf`: one object with all of these properties required, one without them.",
    "dependentSchemas": "Combine whole objects with `anyOf`, one for each case.",
    "dependencies": "Combine whole objects with `anyOf`, one for each case.",
    "contains": "Constrain every item with `items`, or those at the start with `prefixItems`.",
    "minContains": "Constrain every item with `items`, and their number with `minItems`.",
    "maxContains": "Constrain every item with `items`, and their number with `maxItems`.",
    "unevaluatedItems": "Write `items` beside `prefixItems`: it holds for all further items, and may be false.",
    "$dynamicRef": "Write `$ref` with the path of the definition, such as `#/$defs/node`.",
    "$recursiveRef": 'Write `{"$ref": "#"}`.',
    "extends": "Write `allOf`.",
    "disallow": "List what is allowed instead, with `type`, `enum` or `anyOf`.",
    "divisibleBy": "Write `multipleOf`.",
}
"""Keywords that constrain values and that the engine has no means for: a schema with one is refused. With what to write
instead."""

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

REMEDIES: Mapping[str, str] = {
    "type": "Use null, boolean, integer, number, string, array, object, or a list of them.",
    "enum": "Remove the value that cannot be written, or write it as a string.",
    "const": "Write a value that can be written exactly, or a string.",
    "properties": "Write an object of schemas.",
    "required": "Write a list of property names.",
    "patternProperties": "Write patterns without lookaround, back-references and word boundaries, or `properties`.",
    "propertyNames": "Remove it, or write `additionalProperties` beside `propertyNames` and no `properties`.",
    "minProperties": "Name the properties that must be there in `required`.",
    "maxProperties": "Declare the properties, and close the object with `additionalProperties: false`.",
    "unevaluatedProperties": "Write `additionalProperties`, in the schema that declares the properties.",
    "uniqueItems": "Remove it and check the items in the function, or set `maxItems` to 1.",
    "pattern": "Write it without lookaround, back-references, word boundaries and flags; anchor it at its ends only.",
    "format": "Remove it and describe the format in `description`, or write a `pattern`.",
    "minimum": "Choose a bound between -2^63 and 2^63 that leaves room below `maximum`.",
    "maximum": "Choose a bound between -2^63 and 2^63 that leaves room above `minimum`.",
    "exclusiveMinimum": "Choose a bound between -2^63 and 2^63 that leaves room below `maximum`.",
    "exclusiveMaximum": "Choose a bound between -2^63 and 2^63 that leaves room above `minimum`.",
    "multipleOf": "Keep it to 10,000 in significant digits, in a schema of its own, or round in the function instead.",
    "minLength": "Choose a length from 0 to `maxLength`, at most 100,000.",
    "maxLength": "Choose a length from `minLength` on.",
    "minItems": "Choose a number from 0 to `maxItems`, at most 100,000.",
    "maxItems": "Choose a number from `minItems` on.",
    "prefixItems": "Write a list of schemas.",
    "oneOf": "Write `anyOf`, or give each option a required property with another constant.",
    "anyOf": "Write a list of at least one schema.",
    "allOf": "Write a list of at least one schema, or one schema with all of the keywords.",
    "$ref": "Move the definition into the tool's own `$defs`, and refer to it as `#/$defs/name`.",
}
"""What to write instead of an enforced keyword that is beyond its limits."""
