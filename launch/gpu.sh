#!/usr/bin/env bash
# One NVIDIA GPU: installs the CUDA build into .venv, then runs with what is given here.
#
#   launch/gpu.sh --config=configs/base2new.py:caltech101 --config.data.root=DATA \
#       --config.student=STUDENT --config.teacher=TEACHER
#
# EXTRA=cuda13 takes the other build. JAX takes memory as it needs it rather than three
# quarters at once, so that several runs can share a card.
set -euo pipefail
cd "$(dirname "$0")/.."
test -x .venv/bin/python || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --editable ".[${EXTRA:-cuda12}]"
export XLA_PYTHON_CLIENT_PREALLOCATE="${XLA_PYTHON_CLIENT_PREALLOCATE:-false}"
exec .venv/bin/python -m fdbpl_jax.main --config.platform=gpu "$@"
