"""What the OpenAPI document promises, tried with made-up requests."""

import pytest

schemathesis = pytest.importorskip("schemathesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

OPERATIONS = (
    ("/v1/images/generations", "POST"),
    ("/v1/images/edits", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{name}", "GET"),
    ("/v1/bundle", "GET"),
    ("/health", "GET"),
    ("/ready", "GET"),
    ("/metrics", "GET"),
)


@pytest.fixture(scope="module")
def schema(server):
    return schemathesis.openapi.from_url(f"{server}/openapi.json")


def test_all_operations_are_tried(schema):
    found = {(one.ok().path, one.ok().method.upper()) for one in schema.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_is_a_fault_of_the_server(schema, path, method):
    """Each answer has a status, a type and a body that the document has; none is a 500.

    That a scene is one, or a size the model's, no schema says; so what fits it may be refused.
    """

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy())
    def check(case):
        case.call_and_validate(timeout=120, excluded_checks=[positive_data_acceptance])

    check()
