# The Prefect worker and its flow runs; no torch. Build from the repository root:
#   docker build -f infra/docker/flows.Dockerfile -t perennial-flows .
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv==0.13.8"
WORKDIR /build
COPY pyproject.toml requirements.lock ./
RUN uv pip install --no-cache --compile-bytecode --prefix /install --python /usr/local/bin/python \
        --constraint requirements.lock --group flows

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 \
    PREFECT_LOGGING_EXTRA_LOGGERS=flows,tasks,training \
    PREFECT_LOGGING_ROOT_LEVEL=INFO \
    PREFECT_RESULTS_DEFAULT_SERIALIZER=json
COPY --from=build /install /usr/local
WORKDIR /opt/perennial
COPY flows flows
COPY tasks tasks
COPY deployments deployments
COPY training/__init__.py training/capture.py training/encoder.py training/formats.py \
    training/redaction.py training/reference.py training/
COPY classifiers classifiers
COPY infra/cloudformation infra/cloudformation
COPY prefect.yaml ./
RUN echo /opt/perennial > /usr/local/lib/python3.11/site-packages/perennial.pth \
    && useradd --uid 1000 --create-home perennial
USER 1000
# The worker answers here once it polls its pool.
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
CMD ["prefect", "worker", "start", "--pool", "perennial", "--with-healthcheck"]
