# Training and processing jobs on SageMaker. Build from the repository root:
#   docker build -f infra/docker/training.Dockerfile -t perennial-training .
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv==0.13.8"
WORKDIR /build
COPY pyproject.toml requirements.lock ./
RUN uv pip install --no-cache --compile-bytecode --prefix /install --python /usr/local/bin/python \
        --constraint requirements.lock --group training

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=PASSIVE
COPY --from=build /install /usr/local
WORKDIR /opt/perennial
COPY training training
# Importable from any working directory, without touching PYTHONPATH.
RUN echo /opt/perennial > /usr/local/lib/python3.11/site-packages/perennial.pth
# No USER: SageMaker mounts /opt/ml for root, and a job of another user cannot write its model there.
# A job ends by itself; its exit code is its health.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "training.train"]
