# The endpoint, for SageMaker and EC2 alike. Build from the repository root:
#   docker build -f infra/docker/serving.Dockerfile -t perennial-serving .
# The model is not in the image: it is mounted at /opt/ml/model.
# It refuses to start before it was said who may call: API_KEYS_FILE, API_KEYS_SECRET or AUTH=off.
# With SageMaker's argument `serve`, IAM says it, and nothing but /ping and /invocations is offered.
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir "uv==0.13.8"
WORKDIR /build
COPY pyproject.toml requirements.lock ./
# Of the training group only what loads a bundle; torch without CUDA is 2 GB smaller.
RUN uv pip install --no-cache --compile-bytecode --prefix /install --python /usr/local/bin/python \
        --torch-backend cpu --constraint requirements.lock --group serving \
        torch transformers safetensors pydantic

FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=PASSIVE \
    MODEL_PATH=/opt/ml/model \
    API_HOST=0.0.0.0 \
    API_PORT=8080 \
    CAPTURE_DIR=/var/spool/perennial
COPY --from=build /install /usr/local
WORKDIR /opt/perennial
COPY training training
COPY serving serving
# Importable from any working directory, without touching PYTHONPATH. In the spool answers wait to be
# shipped, whoever the container runs as.
RUN echo /opt/perennial > /usr/local/lib/python3.11/site-packages/perennial.pth \
    && mkdir --mode=1777 /var/spool/perennial
# No USER: SageMaker hosting needs root in its container. On EC2 the deploy document runs this image
# with --user 1000:1000, without capabilities and with a read-only root.
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; e = os.environ; r.urlopen(('https' if e.get('TLS_CERT_FILE') else 'http') + '://127.0.0.1:' + e['API_PORT'] + '/ping', timeout=4, context=ssl._create_unverified_context())"]
ENTRYPOINT ["python", "-m", "serving.app"]
