"""ray.py: replicas behind one address, and what a cluster is told of them."""

import base64
import importlib
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

ray = pytest.importorskip("ray", reason='no Ray: pip install -e ".[ray]"')
serve = pytest.importorskip("ray.serve", reason='no Ray Serve: pip install -e ".[ray]"')

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402
from pydantic import ValidationError  # noqa: E402
from ray.serve.schema import ServeDeploySchema  # noqa: E402

from mas_fast.deploy import Pipeline  # noqa: E402
from mas_fast.serve.ray import Options, app  # noqa: E402

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PORT = 8191
GENERATIONS = f"http://127.0.0.1:{PORT}/v1/images/generations"


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[Options], None]]:
    """started(options): the replicas that Ray is to run on this machine, ready."""
    with pytest.MonkeyPatch.context() as patched:
        # On busy cores Ray's proxy takes longer than the 5 s after which Ray would end it.
        patched.setenv("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        serve.start(http_options={"host": "127.0.0.1", "port": PORT})
        yield lambda options: serve.run(app(options))
        serve.shutdown()
        ray.shutdown()


def ask(**body) -> httpx.Response:
    return httpx.post(GENERATIONS, json={"prompt": "two dogs on a beach"} | body, timeout=120)


def pictures_drawn() -> dict[float, float]:
    """By each replica, known by when its counter began; a scrape is of one that Ray chooses."""
    found = {}
    for _ in range(40):
        text = httpx.get(f"http://127.0.0.1:{PORT}/metrics").text
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        found[values["mas_fast_pictures_created"]] = values["mas_fast_pictures_total"]
    return found


@pytest.mark.slow
def test_two_replicas_draw_what_one_model_draws_alone(started):
    started(Options(min_replicas=2, max_replicas=2))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda seed: ask(seed=seed), range(8)))
    alone = Pipeline()
    for seed, answer in enumerate(answers):
        assert answer.status_code == 200, answer.text
        (drawn,) = answer.json()["data"]
        (expected,) = alone.generate("two dogs on a beach", seed=seed).images
        found = Image.open(io.BytesIO(base64.b64decode(drawn["b64_json"])))
        np.testing.assert_array_equal(found, expected)
    counts = pictures_drawn().values()
    assert len(counts) == 2
    assert min(counts) > 0
    assert sum(counts) == 8


@pytest.mark.slow
def test_a_full_replica_says_so(started):
    """Ray passes on what is beyond the queue, and what the replica answers."""
    started(Options(min_replicas=1, max_replicas=1, waiting=0))
    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda seed: ask(seed=seed, n=8), range(30)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "too_many_requests"


def test_a_replica_takes_more_than_may_wait_so_that_it_can_refuse():
    deployment = app(Options(waiting=5, cpus=3))._bound_deployment
    assert deployment.max_ongoing_requests > 16 + 5
    assert deployment.ray_actor_options["num_cpus"] == 3


@pytest.mark.parametrize(
    "wrong", [{"replicas": 2}, {"cpus": 0}, {"min_replicas": 5, "max_replicas": 4}]
)
def test_options_that_are_wrong_are_named(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Options(**wrong)


def test_kubernetes_is_told_what_there_is():
    yaml = pytest.importorskip("yaml")
    told = yaml.safe_load((DEPLOY / "rayservice.yaml").read_text())
    assert told["kind"] == "RayService"
    config = ServeDeploySchema.model_validate(yaml.safe_load(told["spec"]["serveConfigV2"]))
    (application,) = config.applications
    module, _, name = application.import_path.partition(":")
    options = Options.model_validate(application.args)
    deployed = getattr(importlib.import_module(module), name)(options)
    assert isinstance(deployed, serve.Application)
    (group,) = told["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert int(container["resources"]["limits"]["cpu"]) >= options.cpus
    assert group["maxReplicas"] >= options.max_replicas
