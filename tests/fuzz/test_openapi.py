"""Requests made from the OpenAPI document, of what it admits and of what it does not, and answers held to it."""

from __future__ import annotations

import schemathesis
from schemathesis.specs.openapi import checks

from app.examples import MODEL
from app.main import create_app
from app.settings import Settings
from tests.fuzz.profile import SECONDS, examples

SCHEMA = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
BUDGET = {"/v1/chat/completions": "max_completion_tokens", "/v1/responses": "max_output_tokens"}


@SCHEMA.parametrize()
@examples(25)
def test_the_document_is_true(case: schemathesis.Case, url: str) -> None:
    if isinstance(case.body, dict):
        # Random names are of no model, and random requests set no limit: both would end the matter too early, or late.
        if isinstance(case.body.get("model"), str):
            case.body["model"] = MODEL
        if case.path in BUDGET:
            case.body.setdefault(BUDGET[case.path], 20)
    case.call_and_validate(
        base_url=url,
        timeout=SECONDS,
        # Whether a JSON Schema within the body can be enforced, and what it refers to, no OpenAPI document can say.
        excluded_checks=[checks.positive_data_acceptance],
    )
