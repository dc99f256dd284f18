"""The server on many machines: replicas of it behind one address, as many as there is work for.

    serve run mas_fast.serve.ray:app                          # on this machine
    serve run mas_fast.serve.ray:app cpus=4 max_replicas=8    # Options, by name
    serve.run(app(Options(cpus=4)))                           # from Python

Each replica is the whole server, with an engine of its own. So one batch is of one replica, and
/metrics tells of the replica that happens to answer. Needs Ray Serve: pip install "mas_fast[ray]".
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator
from ray import serve
from ray.serve import Application

from mas_fast.pipelines.onnx_pipeline import Pipeline
from mas_fast.serve.app import Limits, create_app

SPARE = 16  # requests beyond its queue that a replica takes: to say 429, and for /health


class Options(BaseModel):
    """What a deployment is told.

    The key that clients must say is none of it, since Ray shows these: it is MAS_FAST_API_KEY in
    the environment of the replicas.
    """

    model_config = ConfigDict(extra="forbid")

    bundle: str | None = Field(None, description="A folder on each machine; None: the bundled one.")
    dtype: str = Field("fp32", description="In which the GPT computes.")
    onnx_dtype: str = Field("fp32", description="Of the ONNX files.")
    cpus: int = Field(1, ge=1, description="Cores of a replica.")
    waiting: int = Field(64, ge=0, description="Requests that may wait at a replica.")
    seconds: float = Field(120, ge=1, description="That a request may take.")
    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(4, ge=1)
    target: float = Field(
        8, gt=0, description="Requests of a replica, drawn or waiting: more make another replica."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Options":
        if self.min_replicas > self.max_replicas:
            found = f"found {self.min_replicas} and {self.max_replicas}"
            raise ValueError(f"min_replicas, max_replicas: {found}, expected the first to be less")
        return self


def app(options: Options) -> Application:
    """Make the application that `serve run` starts.

    Args:
        options: of all replicas.

    Returns:
        One deployment, whose bundle is read where a replica starts.
    """
    limits = Limits(waiting=options.waiting, seconds=options.seconds)

    def made_in_the_replica() -> FastAPI:
        painter = Pipeline(
            options.bundle,
            dtype=options.dtype,
            onnx_dtype=options.onnx_dtype,
            threads=options.cpus,
        )
        return create_app(painter, key=os.environ.get("MAS_FAST_API_KEY"), limits=limits)

    @serve.ingress(made_in_the_replica)
    class Replica:
        def check_health(self) -> None:
            """Ray replaces a replica that raises."""
            if not self.app.state.server.engine.alive:  # type: ignore[attr-defined]  # of ingress
                raise RuntimeError("found that the engine's thread has ended, expected it to run")

    deployment = serve.deployment(
        Replica,
        name="mas_fast",
        ray_actor_options={"num_cpus": options.cpus},
        # Fewer would wait at Ray's proxy without a bound, and never see the replica's 429.
        max_ongoing_requests=limits.workers + limits.waiting + SPARE,
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.target,
        },
        graceful_shutdown_timeout_s=options.seconds,
    )
    return deployment.bind()
