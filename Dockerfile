# The server without torch:
#     docker build -t mas_fast .
#     docker run -p 8000:8000 mas_fast                      # http://127.0.0.1:8000
# and the same with Ray, for deploy/rayservice.yaml:
#     docker build --target ray -t mas_fast:ray .
# Each step is a command that scripts/check_dockerfile.py can run in a clean root, without an engine.

FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ libc6-dev python3-dev python3-venv
WORKDIR /src
COPY pyproject.toml setup.py CMakeLists.txt README.md LICENSE ./
COPY csrc csrc
COPY kernels kernels
COPY configs configs
COPY mas_fast mas_fast
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/mas_fast
RUN MAS_FAST_TORCH=0 /opt/pip/bin/pip wheel --no-deps --wheel-dir /wheels .
RUN /opt/pip/bin/pip --python /opt/mas_fast/bin/python install --no-cache-dir --no-compile "$(echo /wheels/*.whl)[serve]"
# Left out: what tokenizers fetches files with, numpy's tests, and the tokenizers' weights for torch.
RUN /opt/pip/bin/pip --python /opt/mas_fast/bin/python uninstall --yes hf_xet huggingface_hub
RUN find /opt/mas_fast/lib/python3*/site-packages/numpy -type d -name tests -prune -exec rm -r {} +
RUN rm /opt/mas_fast/lib/python3*/site-packages/mas_fast/assets/storybook/vq_*.safetensors

FROM debian:trixie-slim AS server
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 python3 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=build /opt/mas_fast /opt/mas_fast
RUN useradd --create-home --uid 10001 painter
ENV PATH=/opt/mas_fast/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /home/painter
USER painter
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health', timeout=2)"
CMD ["mas-fast", "serve", "--host", "0.0.0.0"]

FROM server AS ray
USER root
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv wget && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN python3 -m venv /opt/pip && /opt/pip/bin/pip --python /opt/mas_fast/bin/python install --no-cache-dir --no-compile "ray[serve]>=2.47"
USER painter

FROM server
