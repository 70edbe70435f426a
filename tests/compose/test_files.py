"""The compose files, the Dockerfile and .env.example: everything that can be tested without a container engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.compose.dockerfile import stages
from tests.compose.reading import BASE, GPU, REMOTE, compose, raw, seconds, variables
from tests.support.paths import ROOT

# Settings that docker-compose.yml itself sets, so that .env must not.
FIXED = {
    "data",
    "host",
    "port",
    "database",
    "database_password_file",
    "broker",
    "broker_password_file",
    "access",
    "admin_token_file",
}
SERVICES = compose(BASE)["services"]
ALL = {**SERVICES, **compose(BASE, GPU)["services"]}


def example() -> dict[str, str]:
    """Every variable in .env.example with its value; each has a comment above it."""
    found: dict[str, str] = {}
    explained = False
    for line in (ROOT / ".env.example").read_text().splitlines():
        match = re.fullmatch(r"#([A-Z][A-Z0-9_]*)=(.*)", line)
        if match:
            assert explained, f"{match[1]} is not explained"
            found[match[1]] = match[2]
        else:
            explained = line.startswith("# ")
    return found


def test_the_files_are_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, BASE, GPU, REMOTE], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ALL)
def test_every_service_has_no_rights_it_does_not_need(name: str) -> None:
    service = ALL[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert "network_mode" not in service
    assert user_of(service) not in ("root", "0", "0:0", None)


def user_of(service: dict[str, Any]) -> str | None:
    """The user of a service: its own, or that of its image."""
    if "user" in service:
        return str(service["user"])
    return stages()[service["build"]["target"]].user


@pytest.mark.parametrize("name", ALL)
def test_every_service_has_a_health_check_limits_and_a_grace_period(name: str) -> None:
    service = ALL[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()
    assert seconds(service["stop_grace_period"]) >= 10


@pytest.mark.parametrize("name", [name for name in ALL if name == "worker" or name.startswith("gpu")])
def test_a_worker_has_time_to_finish_its_tile(name: str) -> None:
    from service.supervisor.guardian import GRACE_SECONDS

    tile = Settings.model_fields["tile_seconds"].default
    assert seconds(ALL[name]["stop_grace_period"]) > 2 * GRACE_SECONDS > 10 * tile


@pytest.mark.parametrize("name", ALL)
def test_services_wait_until_their_dependencies_are_healthy(name: str) -> None:
    waits = ALL[name].get("depends_on", {})
    assert all(wanted == {"condition": "service_healthy"} for wanted in waits.values())
    needs = {"api": {"database", "broker"}, "tls": {"api"}, "database": set(), "broker": set()}
    assert set(waits) == needs.get(name, {"database", "broker", "api"})


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.pop("tls") == ["80:8080", "443:8443"]
    assert SERVICES["tls"]["profiles"] == ["tls"]
    assert published == {"api": ["127.0.0.1:8000:8000"]}


def test_the_remote_overlay_publishes_database_and_broker_on_the_given_address_and_by_default_on_loopback() -> None:
    assert raw(REMOTE)["services"].keys() == {"database", "broker"}
    told = compose(BASE, REMOTE, environment={"LAB_PRIVATE_ADDRESS": "10.1.2.3"})["services"]
    assert [told[name]["ports"] for name in ("database", "broker")] == [["10.1.2.3:5432:5432"], ["10.1.2.3:6379:6379"]]
    assert compose(BASE, REMOTE)["services"]["database"]["ports"] == ["127.0.0.1:5432:5432"]


def test_database_broker_and_workers_have_no_route_to_the_internet() -> None:
    assert compose(BASE)["networks"]["inside"] == {"internal": True}
    for name, service in ALL.items():
        assert service["networks"] == {"api": ["inside", "outside"], "tls": ["outside"]}.get(name, ["inside"])


def test_the_files_contain_no_secret() -> None:
    for name, service in ALL.items():
        for key, value in service.get("environment", {}).items():
            assert not re.search(r"PASSWORD|SECRET|TOKEN", key) or value.startswith("/run/secrets/"), f"{name}: {key}"
        for secret in service.get("secrets", []):
            assert secret in compose(BASE)["secrets"]
    assert ":@" not in BASE.read_text()
    made = re.search(r"for name in ([a-z_ ]+);", (ROOT / "deploy/make-secrets").read_text())
    assert made
    assert set(made[1].split()) == set(compose(BASE)["secrets"])


def test_the_broker_persists_its_data_and_evicts_nothing() -> None:
    command = SERVICES["broker"]["command"][2]
    for option in ("requirepass", "--appendonly yes", "--maxmemory-policy noeviction"):
        assert option in command


def test_the_gpu_overlay_gives_every_gpu_one_worker() -> None:
    gpus = {name: service for name, service in raw(GPU)["services"].items() if name.startswith("gpu-")}
    devices = [service["deploy"]["resources"]["reservations"]["devices"] for service in gpus.values()]
    assert [device["device_ids"] for [device] in devices] == [[f"${{LAB_GPU_{n}:-{n}}}"] for n in range(8)]
    for used in (1, 2, 4, 8):
        started = [name for name, one in gpus.items() if not one.get("profiles") or f"gpus-{used}" in one["profiles"]]
        assert started == [f"gpu-{n}" for n in range(used)]
    for service in gpus.values():
        assert service["command"][-2:] == ["--workers", "1"]


def test_the_gpu_overlay_differs_from_the_worker_only_in_what_a_gpu_needs() -> None:
    worker, gpu = SERVICES["worker"], ALL["gpu-0"]
    differing = {key for key in worker | gpu if worker.get(key) != gpu.get(key)}
    assert differing == {"image", "command", "healthcheck", "deploy"}


def test_every_variable_of_the_files_is_explained_with_its_default() -> None:
    asked = {**variables(BASE), **variables(GPU), **variables(REMOTE)}
    shown = {name: value for name, value in example().items() if not name.startswith("LANDSCAPE_")}
    assert shown.pop("COMPOSE_PROFILES") == ""
    assert shown == asked


def test_every_setting_of_the_service_is_explained_with_its_default() -> None:
    shown = {name: value for name, value in example().items() if name.startswith("LANDSCAPE_")}
    fields = {name: field for name, field in Settings.model_fields.items() if name not in FIXED}
    defaults = {name: "" if field.default is None else str(field.default) for name, field in fields.items()}
    assert shown == {f"LANDSCAPE_{name.upper()}": value for name, value in defaults.items()}


def test_the_version_of_the_images_is_that_of_the_package() -> None:
    import landscape

    assert variables(BASE)["LAB_TAG"] == landscape.__version__


def test_the_build_context_holds_exactly_what_the_dockerfile_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = {Path(source).parts[0] for stage in stages().values() for source in stage.copied_from_context}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
