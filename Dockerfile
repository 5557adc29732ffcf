# amqpd as a container image: docker build -t amqpd .
#
# The official Python image builds its interpreter with profile-guided and link-time optimization, which the part of
# amqpd that stays Python gains from. Every step here is run by tools/check_dockerfile.py, which needs no Docker.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE CHANGELOG.md ./
COPY tools/compilation.py tools/
COPY amqpd amqpd/
# An image that is several times slower than it says would help nobody: fail rather than fall back to plain Python.
RUN AMQPD_REQUIRE_COMPILED=1 pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
RUN python3 -m venv --without-pip /opt/amqpd \
 && pip --python /opt/amqpd install --no-cache-dir /wheels/*.whl

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="amqpd" \
      org.opencontainers.image.description="An AMQP 0-9-1 broker that RabbitMQ clients cannot tell from RabbitMQ" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number that never changes, so that volumes can be prepared for it; nothing but its data belongs to it.
RUN groupadd --gid 5672 amqpd \
 && useradd --uid 5672 --gid 5672 --home-dir /var/lib/amqpd --no-create-home --shell /usr/sbin/nologin amqpd \
 && install -d -o amqpd -g amqpd -m 700 /var/lib/amqpd
COPY --from=build /opt/amqpd /opt/amqpd/
COPY etc/container.toml /etc/amqpd/amqpd.toml
ENV PATH=/opt/amqpd/bin:/usr/local/bin:/usr/bin:/bin \
    AMQPD_CONFIG=/etc/amqpd/amqpd.toml \
    AMQPD_DATA_DIR=/var/lib/amqpd
USER 5672:5672
WORKDIR /var/lib/amqpd
VOLUME /var/lib/amqpd
EXPOSE 5672 5671
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 CMD ["amqpctl", "status"]
ENTRYPOINT ["amqpd"]
