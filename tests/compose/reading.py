"""The compose files as `docker compose` reads them: interpolated, merged, with the short forms expanded."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.paths import ROOT

BASE, GPU = ROOT / "docker-compose.yml", ROOT / "docker-compose.gpu.yml"
REMOTE = ROOT / "docker-compose.remote.yml"
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\})")


def raw(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())
    return found


def variables(path: Path) -> dict[str, str]:
    """Every variable that the file uses, with its default."""
    found = [match for match in _VARIABLE.finditer(path.read_text()) if match["name"]]
    return {match["name"]: match["default"] or "" for match in found}


def compose(*paths: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The project; later files override earlier ones."""
    merged: dict[str, Any] = {}
    for path in paths or (BASE,):
        merged = _merged(merged, _interpolated(raw(path), environment or {}))
    return merged


def _interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one, environment) for one in value]
    if not isinstance(value, str):
        return value
    assert not re.search(r"\$(?![{$])", value.replace("$$", "")), (
        f"a form of variable this reader does not know: {value}"
    )
    return _VARIABLE.sub(lambda match: _value(match, environment), value)


def _value(match: "re.Match[str]", environment: Mapping[str, str]) -> str:
    return (environment.get(match["name"]) or match["default"] or "") if match["name"] else "$"


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _merged(one.get(key), other.get(key)) for key in [*one, *(k for k in other if k not in one)]}
    return one if other is None else other


def seconds(duration: str) -> float:
    """ "60s", "2m" as seconds."""
    match = re.fullmatch(r"(\d+)(ms|s|m)", duration)
    assert match, duration
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]]


def readable_by_all(path: Path) -> bool:
    return os.access(path, os.R_OK) and path.stat().st_mode & 0o004 != 0
