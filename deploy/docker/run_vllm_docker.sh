#!/usr/bin/env bash
# Run a judge in vLLM's own image, on this machine's GPUs. See --help.
set -euo pipefail

IMAGE="vllm/vllm-openai:v0.32.0"
IMAGE_CPU="vllm/vllm-openai-cpu:v0.32.0"
# The image's own user for this; its default is root.
IMAGE_USER="2000:0"
CONTAINER_PORT=8000
CACHE_INSIDE="/cache"

MODEL="Qwen/Qwen3-32B"
HOST="127.0.0.1"
PORT=8000
GPUS="all"
CACHE="${HF_HOME:-$HOME/.cache/huggingface}"
NAME=""
RUN_AS=""
INSECURE=false
DETACH=false
DRY_RUN=false
ENGINE_ARGS=()

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "${0##*/}: $1"
  exit "${2:-1}"
}

usage() {
  cat <<EOF
usage: ${0##*/} [options] [-- arguments of vllm serve]

  --model NAME     model on the hub, or a folder                   ($MODEL)
  --host ADDRESS   address of this machine to listen on            ($HOST)
  --port PORT      port to listen on                               ($PORT)
  --gpus LIST      all, or numbers as nvidia-smi lists them: 0,1   ($GPUS)
  --cpu            the image for the CPU, without a GPU
  --cache FOLDER   where models are kept                           (\$HF_HOME or ~/.cache/huggingface)
  --name NAME      of the container                                (llm-judge-PORT)
  --user UID:GID   who runs it inside; 0:0 with rootless Docker    (you, or $IMAGE_USER where you are root)
  --image IMAGE    another image                                   ($IMAGE)
  --detach         in the background, started again when it fails or the machine restarts
  --insecure       listen beyond this machine without a key
  --dry-run        print the command and run nothing

From the environment: VLLM_API_KEY, the key that requests must bring; HF_TOKEN, for models that are not free for all.
Both go to the container by name: no command line shows them.

  VLLM_API_KEY=... ${0##*/} --model Qwen/Qwen3-32B --host 10.0.0.5 -- --quantization fp8 --max-num-seqs 256
EOF
}

needs_value() { [[ $# -ge 2 && -n "$2" ]] || fail "$1 needs a value" 2; }

read_options() {
  local image=""
  while (($#)); do
    case $1 in
      --model | --host | --port | --gpus | --cache | --name | --user | --image)
        needs_value "$@"
        case $1 in
          --model) MODEL=$2 ;;
          --host) HOST=$2 ;;
          --port) PORT=$2 ;;
          --gpus) GPUS=$2 ;;
          --cache) CACHE=$2 ;;
          --name) NAME=$2 ;;
          --user) RUN_AS=$2 ;;
          --image) image=$2 ;;
        esac
        shift 2
        ;;
      --cpu) GPUS="none" && IMAGE=$IMAGE_CPU && shift ;;
      --insecure) INSECURE=true && shift ;;
      --detach) DETACH=true && shift ;;
      --dry-run) DRY_RUN=true && shift ;;
      --help | -h) usage && exit 0 ;;
      --) shift && ENGINE_ARGS=("$@") && break ;;
      *) fail "there is no option $1 (arguments of vllm serve come after --; --help lists the rest)" 2 ;;
    esac
  done
  IMAGE=${image:-$IMAGE}
}

check_options() {
  if ! [[ $PORT =~ ^[0-9]{1,5}$ ]] || ((10#$PORT < 1 || 10#$PORT > 65535)); then
    fail "--port $PORT: a port is a number from 1 to 65535" 2
  fi
  [[ $GPUS =~ ^(all|none|[0-9]+(,[0-9]+)*)$ ]] || fail "--gpus $GPUS: write all, or numbers: 0,1" 2
  if [[ $HOST == localhost ]]; then
    HOST="127.0.0.1"
  fi
  ADDRESS=$HOST
  if [[ $HOST == *:* ]]; then
    ADDRESS="[$HOST]"
  fi
  local argument
  for argument in "${ENGINE_ARGS[@]}"; do
    case $argument in
      --api-key | --api-key=*) fail "--api-key: put the key into VLLM_API_KEY; all users can read a command line" 2 ;;
      --host | --host=* | --port | --port=*) fail "$argument: give it before the --" 2 ;;
    esac
  done
  if [[ $HOST != 127.* && $HOST != ::1 && -z ${VLLM_API_KEY:-} ]]; then
    $INSECURE || fail "$HOST can be reached from other machines: export VLLM_API_KEY=..., or say --insecure"
    say "warning: whoever reaches $HOST:$PORT can use this server"
  fi
  if [[ -z ${HF_TOKEN:-} && ! -d $MODEL ]]; then
    say "warning: no HF_TOKEN: downloads are slower, and gated models are refused"
  fi
}

check_docker() {
  command -v docker >/dev/null || fail "there is no docker: install Docker Engine"
  local problem
  if ! problem=$(docker info --format '{{.ServerVersion}}' 2>&1 >/dev/null); then
    fail "Docker's service cannot be asked: ${problem:-docker info failed}"
  fi
}

check_gpus() {
  command -v nvidia-smi >/dev/null ||
    fail "there is no nvidia-smi: install NVIDIA's driver (or use --cpu, for small models)"
  local listed wanted
  if ! listed=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>&1); then
    fail "nvidia-smi finds no usable GPU: $listed"
  fi
  [[ -n $listed ]] || fail "nvidia-smi lists no GPU"
  if [[ $GPUS != all ]]; then
    for wanted in ${GPUS//,/ }; do
      grep -qx "$wanted" <<<"$listed" || fail "there is no GPU $wanted; nvidia-smi lists ${listed//$'\n'/, }"
    done
  fi
  # Docker takes GPUs by a runtime of that name, or by the toolkit's own hook.
  if ! docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"' &&
    ! command -v nvidia-container-runtime-hook >/dev/null; then
    fail "Docker cannot hand out GPUs: install nvidia-container-toolkit, then run
  sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
  fi
}

# The cache must be there, and writable for whoever runs the server: Docker would make it root's.
prepare_cache() {
  if [[ -z $RUN_AS ]]; then
    RUN_AS="$(id -u):$(id -g)"
    if [[ $(id -u) == 0 ]]; then
      RUN_AS=$IMAGE_USER
    fi
  fi
  CACHE=$(realpath -m -- "$CACHE")
  if $DRY_RUN; then
    return
  fi
  if [[ ! -d $CACHE ]]; then
    mkdir -p -- "$CACHE"
    if [[ $(id -u) == 0 ]]; then
      chown -- "$RUN_AS" "$CACHE"
    fi
  fi
  local owner group mode
  read -r owner group mode < <(stat -c '%u %g %A' -- "$CACHE")
  if [[ $RUN_AS != 0:* && $owner != "${RUN_AS%:*}" && ${mode:8:1} != w ]] &&
    [[ $group != "${RUN_AS#*:}" || ${mode:5:1} != w ]]; then
    fail "user $RUN_AS of the container cannot write to $CACHE: chown -R $RUN_AS it, or name another --cache or --user"
  fi
}

build_command() {
  local model=$MODEL
  COMMAND=(docker run --name "${NAME:-llm-judge-$PORT}" --init --ipc=host --stop-timeout 60)
  COMMAND+=(--user "$RUN_AS" --cap-drop ALL --security-opt no-new-privileges)
  COMMAND+=(--publish "$ADDRESS:$PORT:$CONTAINER_PORT" --volume "$CACHE:$CACHE_INSIDE")
  # The user inside may be one that the image has no home for. What vLLM compiles is kept beside the models.
  COMMAND+=(--env HOME=/tmp --env USER=judge --env HF_HOME="$CACHE_INSIDE" --env VLLM_CACHE_ROOT="$CACHE_INSIDE/vllm")
  COMMAND+=(--env VLLM_NO_USAGE_STATS=1)
  if [[ -n ${HF_TOKEN:-} ]]; then
    COMMAND+=(--env HF_TOKEN)
  fi
  if [[ -n ${VLLM_API_KEY:-} ]]; then
    COMMAND+=(--env VLLM_API_KEY)
  fi
  if [[ $GPUS == all ]]; then
    COMMAND+=(--gpus all)
  elif [[ $GPUS != none ]]; then
    COMMAND+=(--gpus "\"device=$GPUS\"") # the quotes are Docker's: it takes the comma for its own otherwise
  fi
  COMMAND+=(--health-start-period 30m --health-interval 15s --health-timeout 5s --health-retries 4)
  COMMAND+=(--health-cmd "python3 -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:$CONTAINER_PORT/health\", timeout=4)'")
  if $DETACH; then
    COMMAND+=(--detach --restart unless-stopped)
  else
    COMMAND+=(--rm)
  fi
  if [[ -d $MODEL ]]; then
    COMMAND+=(--volume "$(realpath -- "$MODEL"):/model:ro")
    model=/model
    ENGINE_ARGS=(--served-model-name "$MODEL" "${ENGINE_ARGS[@]}")
  fi
  COMMAND+=("$IMAGE" "$model" --host 0.0.0.0 --port "$CONTAINER_PORT" --shutdown-timeout 45 "${ENGINE_ARGS[@]}")
}

read_options "$@"
check_options
if ! $DRY_RUN; then
  check_docker
  if [[ $GPUS != none ]]; then
    check_gpus
  fi
fi
prepare_cache
build_command
if $DRY_RUN; then
  printf '%q ' "${COMMAND[@]}"
  printf '\n'
  exit 0
fi
say "clients, once it is up: export LLM_JUDGE_SERVER_URL=http://${ADDRESS/#0.0.0.0/$(hostname)}:$PORT"
exec "${COMMAND[@]}"
