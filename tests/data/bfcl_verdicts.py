"""Makes `bfcl_verdicts.json`: cases of our own and what the leaderboard's official AST checker says of each.

Needs the official package in a folder of its own, outside of this repository; its dependencies are not needed:

    pip install --no-deps --target /tmp/bfcl bfcl-eval==2026.3.23
    .venv/bin/python -m tests.data.bfcl_verdicts /tmp/bfcl --write                # the committed cases
    .venv/bin/python -m tests.data.bfcl_verdicts /tmp/bfcl --check 200            # more, compared and not kept
    .venv/bin/python -m tests.data.bfcl_verdicts /tmp/bfcl --check 40 --bfcl DIR  # over the leaderboard's own tools
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.training.test_scoring import VERDICTS, ours

CASES = 24  # calls compared on each set of gold calls
KEPT = 7  # of them written
Checker = Callable[[dict[str, Any], list[dict[str, Any]]], bool | None]

_TEXTS = [
    "Oslo",
    "New Haven",
    "St. John's",
    "a_b",
    "x*y^2",
    "9:30 AM",
    'the "red" one',
    "e-mail",
    "Ærø",
    "1,000.5",
    "-",
]
_KINDS = ["string", "integer", "float", "boolean", "any", "dict", "array", "tuple"]
_ITEMS = ["string", "integer", "float", "boolean", "dict", "array", "any"]

# What chance seldom makes: declared type, accepted values, values to try.
_POINTED: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"type": "array", "items": {"type": "float"}}, [[1, 2.5]], [[1, 2.5], [1.0, 2.5], [1, 2]]),
    ({"type": "array", "items": {"type": "float"}}, [[1.0, 2.5]], [[1, 2.5], [1.0, 2.5]]),
    ({"type": "array", "items": {"type": "float"}}, [[1.0], ""], [[1], [1.0], [], [True]]),
    ({"type": "array", "items": {"type": "integer"}}, [[1, 0]], [[1, 0], [True, False], [1.0, 0]]),
    (
        {"type": "array", "items": {"type": "dict"}},
        [[{"p": [1]}], ""],
        [[{"p": 1}], [{"p": True}], [], [{}], [{"p": 2}]],
    ),
    ({"type": "array", "items": {"type": "array"}}, [[["A b"]]], [[["A b"]], [["a b"]], [["Ab"]]]),
    ({"type": "dict"}, [{"p": ["A b", ""]}], [{"p": "ab"}, {"p": ""}, {}, {"p": ["A b"]}]),
    ({"type": "dict"}, [{"p": [["A b"]]}], [{"p": ["A b"]}, {"p": ["ab"]}]),
    ({"type": "string"}, ["the 'red' one"], ['THE "RED" ONE', "the red one", "the 'red' one."]),
    ({"type": "string"}, [True, "x y"], [True, "x y", "xy", "True"]),
    ({"type": "float"}, [5, None, ""], [5, 5.0, "5", True, None]),
    ({"type": "boolean"}, [True], [True, 1, "true"]),
    ({"type": "integer"}, [1], [1, 1.0, True]),
]


def official(site: Path) -> tuple[Checker, str]:
    """(checker, its version): the verdict on a case, or None where the checker itself fails."""
    sys.path.insert(0, str(site))
    # Its table of models imports every vendor's client. Only this flag of it is read here: dots become underscores.
    table = ModuleType("bfcl_eval.constants.model_config")
    table.__dict__["MODEL_CONFIG_MAPPING"] = {"ours": SimpleNamespace(underscore_to_dot=True)}
    sys.modules[table.__name__] = table
    from bfcl_eval.constants.enums import Language  # type: ignore[import-not-found]
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # type: ignore[import-not-found]

    def verdict(case: dict[str, Any], calls: list[dict[str, Any]]) -> bool | None:
        try:
            functions, gold, calls = copy.deepcopy((case["functions"], case["gold"], calls))
            return bool(ast_checker(functions, calls, gold, Language.PYTHON, case["category"], "ours")["valid"])
        except Exception:
            return None

    [found] = importlib.metadata.distributions(name="bfcl-eval", path=[str(site)])
    return verdict, found.version


def made_cases(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Tools and accepted answers without end, of every type and category."""
    while True:
        category = rng.choice(["simple", "multiple", "parallel", "parallel_multiple"])
        functions = [_function(f"kit.make_{k}" if k % 2 else f"make_{k}", rng) for k in range(rng.choice([1, 2, 3]))]
        called = functions[:1] if category == "simple" else [rng.choice(functions)]
        if category.startswith("parallel"):
            called = [rng.choice(functions) for _ in range(rng.choice([2, 2, 3]))]
        gold = [{f["name"]: _answers(f["parameters"]["properties"], rng)} for f in called]
        if len(gold) > 1 and rng.random() < 0.4:
            # Two of the same tool that overlap in what they accept: here the order of matching shows.
            gold[1] = copy.deepcopy(gold[0])
            for answers in list(gold[1].values())[0].values():
                rng.shuffle(answers)
                del answers[2:]
        yield {"category": category, "functions": functions, "gold": gold}


def pointed_cases() -> Iterator[tuple[dict[str, Any], list[list[dict[str, Any]]]]]:
    """The hand-made cases, each with the answers to try."""
    for schema, accepted, values in _POINTED:
        declared = {"type": "dict", "properties": {"alpha": schema}, "required": []}
        function = {"name": "kit.point", "parameters": declared}
        case = {"category": "simple", "functions": [function], "gold": [{"kit.point": {"alpha": accepted}}]}
        yield case, [[{"kit_point": {"alpha": value}}] for value in values]


def bfcl_cases(folder: Path, rng: random.Random) -> Iterator[dict[str, Any]]:
    """The leaderboard's own questions, to be compared on and never written down."""
    for path in sorted((folder / "possible_answer").glob("*.json")):
        rows = [[json.loads(line) for line in p.open(encoding="utf-8")] for p in (folder / path.name, path)]
        for question, answer in zip(*rows, strict=True):
            assert question["id"] == answer["id"]
            category = path.stem.removeprefix("BFCL_v4_")
            yield {"category": category, "functions": question["function"], "gold": answer["ground_truth"]}


def tried(case: dict[str, Any], rng: random.Random) -> list[dict[str, Any]]:
    """Calls that answer the case, often spoilt in one place or two."""
    calls = []
    for gold in case["gold"]:
        [(name, answers)] = gold.items()
        arguments = {}
        for argument, values in answers.items():
            stated = [v for v in values if v != ""]
            if stated and not ("" in values and rng.random() < 0.4):
                arguments[argument] = _concrete(rng.choice(stated), rng)
        calls.append({name.replace(".", "_"): arguments})
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        _spoil(case, calls, rng)
    return calls


def _function(name: str, rng: random.Random) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key in ("alpha", "beta", "gamma", "delta")[: rng.choice([1, 2, 3, 4])]:
        kind = rng.choice(_KINDS)
        properties[key] = {"type": kind}
        if kind in ("array", "tuple"):
            properties[key]["items"] = {"type": rng.choice(_ITEMS)}
    required = [key for key in properties if rng.random() < 0.6]
    return {"name": name, "parameters": {"type": "dict", "properties": properties, "required": required}}


def _answers(properties: dict[str, Any], rng: random.Random) -> dict[str, list[Any]]:
    answers: dict[str, list[Any]] = {}
    for key, schema in properties.items():
        if rng.random() < 0.07:
            continue  # declared, and not among the answers
        kind = schema["type"] if rng.random() < 0.88 else rng.choice(_KINDS)  # else a "variable"
        items = schema.get("items", {"type": "string"})["type"]
        answers[key] = [_answer(kind, items, rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        if rng.random() < 0.35:
            answers[key].insert(rng.choice([0, len(answers[key])]), "")
        if rng.random() < 0.03:
            answers[key] = [""]
    if rng.random() < 0.05:
        answers["undeclared"] = [_scalar(rng), ""]
    return answers


def _answer(kind: str, items: str, rng: random.Random) -> Any:
    """An accepted value. A dictionary's values are lists of accepted values, in lists too."""
    if kind == "dict":
        return {
            key: [_scalar(rng) for _ in range(rng.choice([1, 2]))] + [""] * (rng.random() < 0.3)
            for key in ("p", "q", "r")[: rng.choice([1, 2, 3])]
        }
    if kind in ("array", "tuple"):
        inner = "string" if items == "array" else items
        count = rng.choice([0, 1, 2, 2, 3])
        return [[_answer(inner, "string", rng)] if items == "array" else _answer(items, items, rng)] * (count > 0) + [
            [_answer(inner, "string", rng)] if items == "array" else _answer(items, items, rng)
            for _ in range(count - 1)
        ]
    return _scalar(rng, kind)


def _scalar(rng: random.Random, kind: str | None = None) -> Any:
    kind = kind or rng.choice(["string", "string", "integer", "float", "boolean"])
    if kind == "integer":
        return rng.choice([0, 1, 2, 5, 12])
    if kind == "float":
        return rng.choice([0.0, 1.0, 2.5, 5.0, 0.1])
    return rng.random() < 0.5 if kind == "boolean" else rng.choice(_TEXTS)


def _concrete(answer: Any, rng: random.Random) -> Any:
    """A value that the answer stands for: of a dictionary's lists, one each."""
    if isinstance(answer, dict):
        made = {key: rng.choice(values) for key, values in answer.items() if isinstance(values, list) and values}
        return {key: value for key, value in made.items() if value != "" or rng.random() < 0.2}
    if isinstance(answer, list):
        return [_concrete(a, rng) for a in answer]
    return answer


def _spoil(case: dict[str, Any], calls: list[dict[str, Any]], rng: random.Random) -> None:
    """Change something: what is called, with which arguments, or a value."""
    if not calls:
        return
    call = rng.choice(calls)
    [(name, arguments)] = call.items()
    dice = rng.random()
    if dice < 0.04:
        calls.remove(call)
    elif dice < 0.08:
        calls.append(copy.deepcopy(call))
    elif dice < 0.14:
        rng.shuffle(calls)
    elif dice < 0.18:
        call[rng.choice([name + "_", *(f["name"] for f in case["functions"])])] = call.pop(name)
    elif dice < 0.24 and arguments:
        del arguments[rng.choice(list(arguments))]
    elif dice < 0.3:
        declared = [key for f in case["functions"] for key in f["parameters"]["properties"]]
        arguments[rng.choice(["other", *declared])] = _scalar(rng)
    elif arguments:
        key = rng.choice(list(arguments))
        arguments[key] = _changed(arguments[key], rng)


def _changed(value: Any, rng: random.Random) -> Any:
    """Another value, near the old one as a rule."""
    if rng.random() < 0.12:
        return rng.choice([None, "", [], {}, True, 1, 1.0, "1", [value], {"p": value}, -1])
    if isinstance(value, bool):
        return rng.choice([not value, int(value), str(value)])
    if isinstance(value, int):
        return rng.choice([float(value), value + 1, str(value), value == 1])
    if isinstance(value, float):
        return rng.choice([int(value), value + 0.5, str(value), -value])
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        inserted = value[:at] + rng.choice([" ", ",", ".", "/", "-", "_", "*", "^", "'", '"', ";", "x"]) + value[at:]
        swapped = value.translate(str.maketrans("'\"", "\"'"))
        return rng.choice([value.upper(), value.lower(), inserted, swapped, value.replace("'", ""), value[1:], [value]])
    if isinstance(value, list):
        options: list[Any] = [value[::-1], [*value, *value[:1]], value[1:], tuple(value)[:1] or ""]
        if value:
            at = rng.randrange(len(value))
            nearby = [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
            options += [nearby] * 4
        return json.loads(json.dumps(rng.choice(options)))
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        rest = {k: v for k, v in value.items() if k != key}
        return rng.choice([rest, {**value, key: _changed(value[key], rng)}, {**value, "z": 1}, {**rest, key + "2": 1}])
    return rng.choice([0, "p", []])


def _compare(checker: Checker, cases: Iterator[dict[str, Any]], rng: random.Random) -> int:
    """Print how many verdicts agree, and the first ten that do not; returns how many do not."""
    counts: Counter[str] = Counter()
    for case in cases:
        for _ in range(CASES):
            calls = tried(case, rng)
            expected, found = checker(case, calls), ours(case, calls)
            counts["failed there" if expected is None else f"{expected} there, {found} here"] += 1
            if expected not in (None, found) and counts["shown"] < 10:
                counts["shown"] += 1
                print(json.dumps({**case, "calls": calls, "official": expected}))
    print(dict(counts))
    return counts["True there, False here"] + counts["False there, True here"]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="folder with the official package")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--sets", type=int, default=180, help="sets of gold calls to write")
    parser.add_argument("--check", type=int, default=0, help="sets of gold calls to compare; with --bfcl, rounds")
    parser.add_argument("--bfcl", type=Path, help="the leaderboard's data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    checker, version = official(options.site)
    rng = random.Random(options.seed)
    if options.check:
        if options.bfcl:
            cases = (c for _ in range(options.check) for c in bfcl_cases(options.bfcl, rng))
        else:
            cases = (c for c, _ in zip(made_cases(rng), range(options.check), strict=False))
        return 1 if _compare(checker, cases, rng) else 0
    drawn = zip(made_cases(rng), range(options.sets), strict=False)
    sets = [
        {**case, "verdicts": [[calls, v] for calls in tries if (v := checker(case, calls)) is not None]}
        for case, tries in (*pointed_cases(), *((c, [tried(c, rng) for _ in range(KEPT)]) for c, _ in drawn))
    ]
    if options.write:
        lines = ",\n".join(json.dumps(s, ensure_ascii=False, separators=(",", ":")) for s in sets)
        VERDICTS.write_text(f'{{"checker": "bfcl-eval {version}", "sets": [\n{lines}\n]}}\n', encoding="utf-8")
    print(Counter(v for s in sets for _, v in s["verdicts"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
