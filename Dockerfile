# Images from one file: `api` (the HTTP face, no torch), `worker` (computes, CPU or CUDA), `tls` (Caddy without privileges).
#
#   docker build --target api    -t loss-landscape-api .
#   docker build --target worker -t loss-landscape-worker --build-arg TORCH_INDEX=… .
#
# TORCH_INDEX is the address of PyTorch's package index for the build wanted (pytorch.org names it under "Get started":
# one for CPU, one for each CUDA). By default, the default package index is used, which on Linux has the CUDA build:
# it computes on a CPU too, in a far larger image. With EXTRAS=figures the api can return PNG and SVG (80 MB more).
#
# Everything is pinned: packages with the hashes of their files (deploy/requirements/, made by `make locks`), base images
# by digest (`make images` says what is behind). Exceptions: Debian's g++, in the build only, and, with TORCH_INDEX,
# torch and its CUDA libraries: that index has builds of its own, with the version of constraints.txt but other hashes.
ARG PYTHON=3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84
ARG CADDY=2.11.7-alpine@sha256:d8542f48d34a9cf4e4c11a478865229840e87e4c96ea3f439101f31a5d35f75f

# --- library and service, each as a wheel ----------------------------------------------------------------------------
FROM python:${PYTHON} AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY deploy/requirements deploy/requirements
RUN python -m venv --without-pip /build/tools
RUN pip --python /build/tools/bin/python install --require-hashes -r deploy/requirements/build.txt
COPY constraints.txt pyproject.toml setup.py MANIFEST.in README.md ./
COPY landscape landscape
COPY app app
COPY worker worker
COPY service service
COPY frontend frontend
COPY packaging packaging
COPY deploy/slim.sh deploy/slim.sh
RUN pip --python /build/tools/bin/python wheel --no-build-isolation --no-deps --wheel-dir /build/wheels . ./packaging/service

# --- what each image installs ----------------------------------------------------------------------------------------
# The service's wheel requires everything on one machine; an image holds a part, by its own list.
FROM build AS api-build
ARG EXTRAS=
RUN python -m venv --without-pip /opt/landscape
RUN pip --python /opt/landscape/bin/python install --no-compile --require-hashes -r "deploy/requirements/api${EXTRAS:+-$EXTRAS}.txt"
RUN pip --python /opt/landscape/bin/python install --no-compile --no-deps /build/wheels/*.whl
RUN sh deploy/slim.sh /opt/landscape

FROM build AS worker-build
ARG TORCH_INDEX=
RUN python -m venv --without-pip /opt/landscape
RUN pip --python /opt/landscape/bin/python install --no-compile --require-hashes -r deploy/requirements/worker.txt
RUN if [ -n "$TORCH_INDEX" ]; then set -- --index-url "$TORCH_INDEX" -c constraints.txt torch; \
    else set -- --require-hashes -r deploy/requirements/torch.txt; fi; \
    pip --python /opt/landscape/bin/python install --no-compile "$@"
RUN pip --python /opt/landscape/bin/python install --no-compile --no-deps /build/wheels/*.whl

# --- runtime of both -----------------------------------------------------------------------------------------------
FROM python:${PYTHON} AS runtime
RUN groupadd --gid 10001 landscape \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin landscape \
 && install -d -o 10001 -g 10001 -m 0700 /data
ENV PATH=/opt/landscape/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LANDSCAPE_DATA=/data
USER 10001:10001
WORKDIR /data

FROM caddy:${CADDY} AS tls
# The image's binary may open low ports; a container without capabilities cannot even start such a binary.
RUN setcap -r /usr/bin/caddy && install -d -o 10001 -g 10001 -m 0700 /data /config
USER 10001:10001

FROM runtime AS worker
COPY --from=worker-build /opt/landscape /opt/landscape
CMD ["landscape", "worker"]

FROM runtime AS api
COPY --from=api-build /opt/landscape /opt/landscape
EXPOSE 8000
CMD ["landscape", "serve", "--host", "0.0.0.0", "--port", "8000"]
