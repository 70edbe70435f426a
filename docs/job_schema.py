"""The body of `POST /api/v1/jobs`: what a job of each kind takes, and the objects in it.

A field without a default is required; an unknown field is refused.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from landscape.kinds import KINDS
from service.jobs.spec import job_spec

Schema = Mapping[str, Any]

__all__: list[str] = []  # the page is the docstring of this module
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "{} or more characters",
    "maxLength": "at most {} characters",
    "minItems": "{} or more of them",
    "maxItems": "at most {} of them",
}


def _page(schema: Schema) -> str:
    """Every model of a JSON schema in Markdown: the jobs first, then the objects that they contain."""
    models, jobs = schema["$defs"], schema["discriminator"]["mapping"]
    excluded = {_name(jobs[name]): [one.text for one in kind.excludes] for name, kind in KINDS.items()}
    others = sorted(models.keys() - excluded)
    return "\n\n".join(_model(name, models[name], excluded.get(name, [])) for name in [*excluded, *others])


def _model(name: str, model: Schema, notes: Sequence[str]) -> str:
    rows = [_row(field, of, field in model.get("required", ())) for field, of in model["properties"].items()]
    table = ["| field | value | default | meaning |", "|---|---|---|---|", *rows]
    return "\n\n".join([f"## {name}", model["description"], *notes, "\n".join(table)])


def _row(name: str, field: Schema, required: bool) -> str:
    default = "" if required or "const" in field else f"`{json.dumps(field['default'])}`"  # a job has to name its kind
    cells = (f"`{name}`", ", ".join(_value(field)), default, field.get("description", ""))
    return " | ".join(["", *(cell.replace("|", "\\|") for cell in cells), ""]).strip()


def _value(field: Schema) -> Iterator[str]:
    """What a field may hold, then its bounds."""
    if "anyOf" in field:
        yield "; or ".join(", ".join(_value(one)) for one in field["anyOf"])
    elif "$ref" in field:
        yield f"[{_name(field['$ref'])}](#{_name(field['$ref']).lower()})"
    elif names := field.get("enum", [field["const"]] if "const" in field else []):
        yield " or ".join(f"`{json.dumps(name)}`" for name in names)
    elif field["type"] == "array":
        yield f"list of {', '.join(_value(field['items']))}"
    else:
        yield field["type"] + (f" like `{field['pattern']}`" if "pattern" in field else "")
    yield from (words.format(_number(field[bound])) for bound, words in _BOUNDS.items() if bound in field)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _number(bound: float) -> str:
    return f"{bound:,}".removesuffix(".0")


__doc__ = f"{__doc__}\n{_page(job_spec.json_schema())}"
