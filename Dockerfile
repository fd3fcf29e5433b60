# One image for every service of docker-compose.yml; the command says which.
FROM python:3.11-slim-bookworm AS wheels
COPY requirements.lock /tmp/requirements.lock
# version-parser is published as source only; its hash is locked too
RUN python -m venv /opt/opstac \
 && /opt/opstac/bin/pip install --no-cache-dir --no-deps --require-hashes \
      --only-binary :all: --no-binary version-parser -r /tmp/requirements.lock \
 && printf '/srv/opstac\n/srv/opstac/src\n' \
      > "$(/opt/opstac/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/opstac-checkout.pth"

FROM python:3.11-slim-bookworm
# rasterio's wheel takes this one library from the system
RUN apt-get update \
 && apt-get install -y --no-install-recommends libexpat1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home --home-dir /var/lib/opstac opstac
COPY --from=wheels /opt/opstac /opt/opstac
COPY . /srv/opstac
ENV PATH=/opt/opstac/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    OPSTAC_HOME=/var/lib/opstac \
    OPSTAC_HOST=0.0.0.0
USER opstac
VOLUME /var/lib/opstac
EXPOSE 8080
ENTRYPOINT ["python", "-P", "-m", "opstac"]
CMD ["serve"]
