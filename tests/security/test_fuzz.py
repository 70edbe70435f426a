"""The OpenAPI document fuzzed, with a token and without: never a 5xx, a traceback or an undocumented response.

`make fuzz` runs longer: LANDSCAPE_FUZZ=EXAMPLES, of each kind and operation; --seed repeats a run.
"""

import contextlib
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.security.conftest import Lab, give_everything, start_lab, stop_lab
from tests.support.servers import new_database

EXAMPLES = int(os.environ.get("LANDSCAPE_FUZZ", "4"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
KNOWN = ["checkpoint_id", "dataset_id", "job_id", "upload_id", "link_id"]

CALLERS = [
    ("ada", GenerationMode.POSITIVE),
    ("ada", GenerationMode.NEGATIVE),
    ("an administrator", GenerationMode.NEGATIVE),
    ("no user", GenerationMode.POSITIVE),
]


@schemathesis.serializer("application/offset+octet-stream")
def piece(_: Any, value: Any) -> Any:
    """Send the body of a PATCH unchanged."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.fixture(scope="module")
def fuzzed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A separate service, since these requests delete and create at random; on PostgreSQL if it is installed,
    since it is stricter about text."""
    on = {"max_unfinished_jobs": "20", "max_user_bytes": "50000000"}
    with contextlib.suppress(pytest.skip.Exception):
        on["database"] = new_database(request.getfixturevalue("postgresql_url"))
    lab = start_lab(tmp_path_factory.mktemp("fuzzed"), **on)
    give_everything(lab.ada)
    yield lab
    stop_lab(lab)


@pytest.fixture(scope="module")
def document(fuzzed: Lab) -> Any:
    with fuzzed.client() as anyone:
        return schemathesis.openapi.from_dict(anyone.get("/api/openapi.json").json())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("who", "mode"), CALLERS, ids=["ada-good", "ada-bad", "administrator-bad", "nobody-good"])
def test_every_answer_is_documented_and_none_is_a_5xx(
    fuzzed: Lab, document: Any, who: str, mode: GenerationMode, request: pytest.FixtureRequest
) -> None:
    number = int(request.config.getoption("--seed") or random.randrange(2**32))
    print(f"\nseed {number}")
    answers: dict[int, int] = {}
    with requests.Session() as session:
        session.trust_env = False
        token = {"ada": fuzzed.ada.token, "an administrator": fuzzed.admin.token}.get(who)
        for result in document.get_all_operations():
            fuzz(result.ok(), mode, number, answers, Asker(fuzzed, session, token))
    assert sum(answers.values()) > EXAMPLES * 10
    print(f"{who}, {mode.value}: {sum(answers.values())} requests, answers by status {dict(sorted(answers.items()))}")
    if who == "no user":
        assert not [status for status in answers if status in (202, 206)]


class Asker:
    """Sends a case, sometimes with ids that exist."""

    def __init__(self, lab: Lab, session: requests.Session, token: str | None):
        self.lab, self.session = lab, session
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, case: Any, real: bool) -> requests.Response:
        if real and case.path_parameters:
            known = {name: self.lab.ada.has[name] for name in KNOWN} | {"name": self.lab.ada.has["dataset_id"]}
            case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
        response = case.call(base_url=self.lab.url, session=self.session, headers=self.headers, timeout=60)
        case.validate_response(response, checks=CHECKS, headers=self.headers)
        return response


def fuzz(operation: Any, mode: GenerationMode, number: int, answers: dict[int, int], asker: Asker) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def ask(case: Any, real: bool) -> None:
        response = asker.ask(case, real)
        answers[response.status_code] = answers.get(response.status_code, 0) + 1
        assert response.status_code < 500, (case.as_curl_command(), response.text[:500])
        assert b"Traceback" not in response.content
        if response.status_code >= 400 and response.content:
            error = response.json()["error"]
            assert error["code"]
            assert 0 < len(error["message"]) <= 700
            assert str(asker.lab.service.data) not in error["message"]

    parts = (operation.path_parameters, operation.query, operation.headers, operation.body)
    if mode is GenerationMode.POSITIVE or any(len(part) for part in parts):  # else there is nothing to falsify
        ask()
