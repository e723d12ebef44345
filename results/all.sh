#!/usr/bin/env bash
# From a clone to every kept study, table, figure and document; `--quick` for a look.
set -euo pipefail
cd "$(dirname "$0")/.."
uv sync --quiet
uv run python -m experiments.run reproduce "$@"
if [ $# -eq 0 ]; then
  uv run python -m experiments.benchmark
  PYTHONPATH=tests/experiments uv run python -m tests.experiments.test_fuzz 300
  PYTHONPATH=tests/experiments uv run python -m tests.experiments.promises
  uv run python -m experiments.load
  uv run python -m analysis.write
  uv run python -m experiments.run verify
fi
