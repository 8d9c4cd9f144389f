#!/bin/sh
# The main job, end to end, on this repository's own docs: sets up .venv, then runs, waits, answers, looks and replays.
# Needs Python 3.11 with pip. Works offline; with a model key in the environment the planner is a real model.
set -eu
cd "$(dirname "$0")/../.."
[ -x .venv/bin/kitaru ] || { python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[examples]'; }
.venv/bin/python -c 'import bm25s, pydantic_ai' 2>/dev/null || .venv/bin/pip install --quiet --editable '.[examples]'
PATH="$PWD/.venv/bin:$PATH"

step() { printf '\n$ %s\n' "$*"; "$@"; }

[ -e .kitaru/format ] || step kitaru init
# Status 3 says that the run stopped at a question, which is what this one is to do.
step kitaru run docs/examples/research_agent.py:research_agent question="How do I replay a run?" --no-input || [ $? -eq 3 ]
step kitaru waits
step kitaru answer @ approve true
step kitaru log @
step kitaru replay --from synthesize -q
step kitaru log -n 5
