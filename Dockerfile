# Two images from one file: `--target api` (no torch, about 350 MB) and `--target worker` (torch with CUDA, several GB).

# To pin it by digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A named volume takes over owner and mode of the folder it is first mounted on.
RUN groupadd --gid 10001 lodestar \
    && useradd --uid 10001 --gid lodestar --no-create-home --home-dir /cache --shell /usr/sbin/nologin lodestar \
    && install --directory --owner lodestar --group lodestar /cache /data /data/artifacts
WORKDIR /srv/lodestar
STOPSIGNAL SIGTERM


FROM base AS wheel
COPY deploy/requirements-build.lock ./
RUN pip install --require-hashes --requirement requirements-build.lock
COPY pyproject.toml LICENSE ./
COPY app app
COPY jobs jobs
COPY lodestar lodestar
COPY worker worker
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .


FROM base AS api
RUN --mount=type=bind,source=deploy/requirements-api.lock,target=/tmp/requirements.lock \
    pip install --require-hashes --requirement /tmp/requirements.lock
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-deps /wheels/*.whl
COPY models.toml ./
ENV LODESTAR_ARTIFACTS_URL=/data/artifacts \
    LODESTAR_HOST=0.0.0.0 \
    LODESTAR_MODELS_FILE=/srv/lodestar/models.toml \
    LODESTAR_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['LODESTAR_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["lodestar", "serve"]


# Not an nvidia/cuda base: the torch wheels bring their own CUDA libraries, so that one would carry them twice, and the
# driver comes from the host through the NVIDIA container toolkit, which reads the two NVIDIA_ variables.
FROM base AS worker
RUN --mount=type=bind,source=deploy/requirements-worker.lock,target=/tmp/requirements.lock \
    pip install --require-hashes --requirement /tmp/requirements.lock
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-deps /wheels/*.whl
COPY models.toml ./
ENV HF_HOME=/cache/huggingface \
    LODESTAR_ARTIFACTS_URL=/data/artifacts \
    LODESTAR_MODELS_FILE=/srv/lodestar/models.toml \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all
USER 10001:10001
# The start period covers loading a full-size model from a slow disk.
HEALTHCHECK --interval=30s --timeout=15s --start-period=300s --retries=3 \
    CMD ["lodestar", "worker-health"]
ENTRYPOINT ["lodestar", "worker"]
