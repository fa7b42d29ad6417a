#!/usr/bin/env bash
# Installs the CUDA build into .venv, then runs fdbpl_jax.main with the given arguments
# on one NVIDIA GPU.
#
#   launch/gpu.sh --config=configs/base2new.py:caltech101 --config.data.root=DATA \
#       --config.student=STUDENT --config.teacher=TEACHER
#
# EXTRA=cuda13 installs the CUDA 13 build. JAX allocates GPU memory on demand instead of
# preallocating three quarters of it, so that several runs can share a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
test -x .venv/bin/python || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --editable ".[${EXTRA:-cuda12}]"
export XLA_PYTHON_CLIENT_PREALLOCATE="${XLA_PYTHON_CLIENT_PREALLOCATE:-false}"
exec .venv/bin/python -m fdbpl_jax.main --config.platform=gpu "$@"
