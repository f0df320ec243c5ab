"""Holds Python lines against those of a benign event: the same syntax tree, but for the event's values.

Standard input: {"pairs": [{"item", "benign": [line], "hostile": [line], "replace": {benign text: text}}]}. Every string
in the benign tree, with its replacements made, must be the string at the same place of the hostile one, and all else must
be the same. Prints what differs, and then ends with 1.
"""

import ast
import json
import re
import sys


def differences(benign, hostile, replace, path="module"):
    if type(benign) is not type(hostile):
        yield f"{path}: {type(benign).__name__} became {type(hostile).__name__}"
    elif isinstance(benign, ast.Constant) and isinstance(benign.value, str):
        if replace(benign.value) != hostile.value:
            yield f"{path}: {benign.value!r} became {hostile.value!r}"
    elif isinstance(benign, ast.AST):
        for field in benign._fields:
            here = f"{path}.{field}"
            yield from differences(getattr(benign, field, None), getattr(hostile, field, None), replace, here)
    elif isinstance(benign, list):
        if len(benign) != len(hostile):
            yield f"{path}: {len(benign)} parts became {len(hostile)}"
        for place, (one, other) in enumerate(zip(benign, hostile)):
            yield from differences(one, other, replace, f"{path}[{place}]")
    elif benign != hostile:
        yield f"{path}: {benign!r} became {hostile!r}"


def main():
    found = []
    for pair in json.load(sys.stdin)["pairs"]:
        texts = pair["replace"]
        pattern = re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))
        trees = []
        for lines in (pair["benign"], pair["hostile"]):
            try:
                trees.append(ast.parse("\n".join(lines)))
            except (SyntaxError, ValueError) as error:
                found.append(f"{pair['item']}: not Python: {error}")
        if len(trees) == 2:
            made = differences(*trees, lambda text: pattern.sub(lambda match: texts[match[0]], text))
            found.extend(f"{pair['item']}: {difference}" for difference in made)
    print("\n".join(found))
    return 1 if found else 0


sys.exit(main())
