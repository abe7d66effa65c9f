#!/usr/bin/env bash
# Run vllm-router (pip install 'vllm-router>=0.1.17') in front of several judges, as one address. See --help.
set -euo pipefail

HOST="127.0.0.1"
PORT=8080
METRICS_PORT=29000
PYTHON="${PYTHON:-python3}"
START_TIMEOUT=1800
INSECURE=false
DRY_RUN=false
JUDGES=()
ROUTER_ARGS=()

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "${0##*/}: $1"
  exit "${2:-1}"
}

usage() {
  cat <<EOF
usage: ${0##*/} [options] JUDGE... [-- arguments of vllm-router]

JUDGE is the address of a server (http://10.0.0.5:8000), or a registry's URL (file://, etcd://, ray://, dns://): the
servers that are on its list when the router starts. Where judges come and go, give clients the registry's URL instead.

  --host ADDRESS         address of this machine to listen on                     ($HOST)
  --port PORT            port to listen on                                        ($PORT)
  --metrics-port PORT    port of the router's own metrics, for this machine only  ($METRICS_PORT)
  --python PYTHON        interpreter that has vllm-router                         ($PYTHON)
  --start-timeout S      seconds that judges may take to get well                 ($START_TIMEOUT)
  --insecure             listen beyond this machine
  --dry-run              print the command and run nothing

The router asks nobody for a key. It passes a client's key on with /v1/chat/completions, but not with
/v1/chat/completions/batch (0.1.17); our client then asks one by one. Never give the router a key of its own (--api-key):
it then puts it on requests that came without. And who reaches it can add and remove judges (/add_worker): let it listen
where only trusted programs are, or put nginx (nginx.conf) in front.
EOF
}

needs_value() { [[ $# -ge 2 && -n "$2" ]] || fail "$1 needs a value" 2; }

# The servers on a registry's list; the package reads it.
servers_of() {
  "$PYTHON" -c '
import sys
from llm_judge_remote.servers.registry import lookup
print(*lookup(sys.argv[1]), sep="\n")' "$1"
}

read_options() {
  while (($#)); do
    case $1 in
      --host | --port | --metrics-port | --python | --start-timeout)
        needs_value "$@"
        case $1 in
          --host) HOST=$2 ;;
          --port) PORT=$2 ;;
          --metrics-port) METRICS_PORT=$2 ;;
          --python) PYTHON=$2 ;;
          --start-timeout) START_TIMEOUT=$2 ;;
        esac
        shift 2
        ;;
      --insecure) INSECURE=true && shift ;;
      --dry-run) DRY_RUN=true && shift ;;
      --help | -h) usage && exit 0 ;;
      --) shift && ROUTER_ARGS=("$@") && break ;;
      -*) fail "there is no option $1 (arguments of vllm-router come after --; --help lists the rest)" 2 ;;
      *) JUDGES+=("$1") && shift ;;
    esac
  done
}

check_options() {
  ((${#JUDGES[@]})) || fail "which judges? Give addresses or a registry's URL (--help)" 2
  if [[ $HOST != 127.* && $HOST != ::1 && $HOST != localhost ]] && ! $INSECURE; then
    fail "who reaches $HOST:$PORT could add and remove judges, and read what clients send: say --insecure if only
trusted programs can, or put nginx in front"
  fi
  local argument
  for argument in "${ROUTER_ARGS[@]}"; do
    case $argument in
      --api-key | --api-key=*) fail "--api-key: the router would put it on requests that came without a key" 2 ;;
    esac
  done
  "$PYTHON" -c 'import vllm_router' 2>/dev/null || fail "$PYTHON has no vllm-router: $PYTHON -m pip install 'vllm-router>=0.1.17'"
}

read_options "$@"
check_options
URLS=()
for judge in "${JUDGES[@]}"; do
  if [[ $judge == http://* || $judge == https://* ]]; then
    URLS+=("${judge%/}")
    continue
  fi
  found=$(servers_of "$judge") || fail "$judge cannot be looked up"
  [[ -n $found ]] || fail "$judge lists no server"
  mapfile -t -O "${#URLS[@]}" URLS <<<"$found"
done

COMMAND=("$PYTHON" -m vllm_router.launch_router --worker-urls "${URLS[@]}" --host "$HOST" --port "$PORT")
COMMAND+=(--prometheus-port "$METRICS_PORT" --worker-startup-timeout-secs "$START_TIMEOUT")
COMMAND+=(--worker-startup-check-interval 2)
# Samples with the same problem and reference go to the same judge: our clients say in X-Session-ID which belong
# together. Without that header, this policy sends everything to one judge.
COMMAND+=(--policy consistent_hash --request-timeout-secs 600)
# Clients try again by themselves; more tries here would multiply theirs.
COMMAND+=(--retry-max-retries 2)
# A judge that is down is left out soon, and asked again soon: vllm-router's own values take a minute.
COMMAND+=(--health-check-interval-secs 5 --health-failure-threshold 2 --health-success-threshold 1)
COMMAND+=(--cb-failure-threshold 5 --cb-success-threshold 1 --cb-timeout-duration-secs 10)
COMMAND+=(--log-level warning "${ROUTER_ARGS[@]}")
if $DRY_RUN; then
  printf '%q ' "${COMMAND[@]}"
  printf '\n'
  exit 0
fi
exec "${COMMAND[@]}"
