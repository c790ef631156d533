# Software of all rules, for runs in a container:
#   docker build -t evenface . && apptainer build evenface.sif docker-daemon://evenface:latest
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends g++ git && rm -rf /var/lib/apt/lists/*
WORKDIR /evenface
COPY pyproject.toml README.md Snakefile ./
COPY config config
COPY profiles profiles
COPY workflow workflow
COPY facekit facekit
COPY facedata facedata
COPY stylegan2 stylegan2
COPY classifiers classifiers
COPY evenface evenface
RUN pip install --no-cache-dir .
