# The classifier as an AWS Lambda function. Build from the repository root:
#   docker build -f infra/docker/lambda.Dockerfile -t perennial-lambda .
# The model is fetched at the first call: set S3_BUCKET, S3_KEY (the model.tar.gz) and BUNDLE_DIGEST.
# Without torch: it answers with bundles whose engine is int8.
FROM public.ecr.aws/lambda/python:3.11 AS build
RUN pip install --no-cache-dir "uv==0.13.8"
WORKDIR /build
COPY pyproject.toml requirements.lock ./
RUN uv pip install --no-cache --compile-bytecode --target /install --python "$(command -v python3)" \
        --constraint requirements.lock --group serving

FROM public.ecr.aws/lambda/python:3.11
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=PASSIVE
COPY --from=build /install ${LAMBDA_TASK_ROOT}
COPY training ${LAMBDA_TASK_ROOT}/training
COPY serving ${LAMBDA_TASK_ROOT}/serving
# No USER: Lambda runs the function as a user of its own. Its health is that calls are answered.
HEALTHCHECK NONE
CMD ["serving.handler.handler"]
