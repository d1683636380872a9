# Serving only: app/ and model/, no torch, no training code.
#
#   docker build -t bodkin .                              CPU
#   docker build -t bodkin:gpu --build-arg RUNTIME=gpu .  NVIDIA GPU; run with --gpus all
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
ARG RUNTIME=cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/bodkin
COPY pyproject.toml README.md LICENSE ./
COPY requirements/serve.txt requirements/
COPY app app
COPY model model
RUN /opt/bodkin/bin/pip install -c requirements/serve.txt ".[${RUNTIME}]"

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin bodkin
COPY --from=build /opt/bodkin /opt/bodkin
RUN install -d -o bodkin /models
ENV PATH=/opt/bodkin/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    BODKIN_STORE=/models \
    BODKIN_HOST=0.0.0.0 \
    BODKIN_PORT=8000
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['BODKIN_PORT'] + '/healthz', timeout=2)"]
CMD ["bodkin", "serve"]
