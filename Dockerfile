# The lab, and the workers of a cluster, in one image; see docs/deploy.md.
FROM python:3.13-slim

# address of an index that has torch without CUDA, where the usual one brings it
ARG TORCH_INDEX=""

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /lab

# what changes seldom comes first, so that a new version of the lab is a small layer
COPY requirements.txt requirements-server.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" "$(grep ^torch== requirements.txt)"; fi
RUN pip install -r requirements-server.txt
RUN useradd --uid 10001 --create-home lab && mkdir /runs && chown lab /runs

COPY assets ./assets
COPY .streamlit/config.toml ./.streamlit/config.toml
COPY locales ./locales
COPY pages ./pages
COPY compression ./compression
COPY app.py serve.py LICENSE ./

USER 10001
ENV PYTHONPATH=/lab \
    COMPRESSION_STORE=sqlite:////runs/store.sqlite \
    COMPRESSION_FILES=/runs/files \
    COMPRESSION_DATA=/runs/data
VOLUME /runs
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"
CMD ["streamlit", "run", "serve.py", "--server.address", "0.0.0.0", "--server.port", "8501"]
