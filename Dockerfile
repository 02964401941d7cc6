# Three images: `--target operator`, `--target model-server`, and `--target model-server-full`, which
# has ONNX, pandas and Parquet too. Builds with buildah, podman or docker.
# From the checkout alone it installs from the package index; where a folder wheels/ lies in the
# context (`python3 -m tools.localcluster images` puts it there) it needs no network at all.
# The base needs Python 3.11 as python3, and pip only where there is no wheels/ folder.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS operator-files
ARG PIP_INDEX_URL
ARG PIP_CERT
RUN --mount=type=bind,source=.,target=/context \
    python3 /context/tools/localcluster/image_install.py --to /app --context /context \
    --requirements operator.txt --package operator/rampway --compile-only-imported kubernetes

FROM ${BASE_IMAGE} AS model-server-files
ARG PIP_INDEX_URL
ARG PIP_CERT
RUN --mount=type=bind,source=.,target=/context \
    python3 /context/tools/localcluster/image_install.py --to /app --context /context \
    --requirements server.txt --package model_server/rampway_server

FROM ${BASE_IMAGE} AS model-server-full-files
ARG PIP_INDEX_URL
ARG PIP_CERT
RUN --mount=type=bind,source=.,target=/context \
    python3 /context/tools/localcluster/image_install.py --to /app --context /context \
    --requirements server-full.txt --package model_server/rampway_server

FROM ${BASE_IMAGE} AS operator
COPY --from=operator-files /app /app
# Answers of Prometheus are megabytes that live for a second: what they took goes back to the system.
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=131072
WORKDIR /
USER 65532:65532
ENTRYPOINT ["python3", "-m", "rampway"]

FROM ${BASE_IMAGE} AS model-server
COPY --from=model-server-files /app /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["python3", "-m", "rampway_server"]

FROM ${BASE_IMAGE} AS model-server-full
COPY --from=model-server-full-files /app /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532
ENTRYPOINT ["python3", "-m", "rampway_server"]
