"""A server that speaks just enough of vLLM's API to measure clients against, at as little CPU per request as it can.

It serves `/v1/chat/completions`, `/v1/chat/completions/batch`, `/v1/models`, `/health`, `/metrics` and
`POST /admin/reset`, over HTTP/1.1 with kept connections and bodies of a stated length. A conversation that holds the
marker `#id=<digits>#` gets a verdict, a service time and perhaps a fault that follow from the seed, that number and
how often it was asked for before (`service.Work`); without one it counts as number 0. In a batch each conversation
takes a slot and a service time of its own, the answer leaves when the last is over, and a fault of one is the fault of
all but for a missing verdict. A connection that is closed gives its slots back.

The options are those of other stubs of this kind, so that `run.py --stub` can take one of these instead.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import signal
import sys

from service import FAULTS
from stub_connection import Connection
from stub_state import Stub

__all__ = ["main"]


def _faults(text: str) -> dict[str, float]:
    try:
        return {kind: float(percent) for kind, percent in (part.split(":") for part in text.split(",") if part)}
    except ValueError:
        msg = f"{text!r} is not KIND:PERCENT,..."
        raise argparse.ArgumentTypeError(msg) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stub_server.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("-p", dest="port", type=int, default=9100, help="port, on 127.0.0.1")
    add("-s", dest="slots", type=int, default=0, help="conversations in service at once, others wait (0: any number)")
    add("-d", dest="service", default="fixed:0", help="fixed:MS, exp:MEAN_MS or lognormal:MEAN_MS,SIGMA")
    add("-S", dest="seed", type=int, default=1, help="of service times and faults")
    add("-f", dest="faults", type=_faults, default={}, help=f"KIND:PERCENT,... of {', '.join(FAULTS)}")
    add("-A", dest="faulty_attempts", type=int, default=1, help="faults hit a sample's first N requests (0: all)")
    add("-R", dest="retry_after", default="1", help="Retry-After of 503 and 429; empty for none")
    add("-H", dest="hang_ms", type=float, default=60_000, help="how long a hang lasts")
    add("-D", dest="drip_ms", type=float, default=500, help="milliseconds per byte of a dripping answer")
    add("-B", dest="hang_outside", action="store_true", help="what hangs takes no slot")
    add("-N", dest="no_abort", action="store_true", help="a closed connection keeps its slots until served")
    add("-X", dest="no_batch", action="store_true", help="no batch endpoint")
    add("-O", dest="most", type=int, default=0, help="answer 503 at once to what exceeds N conversations at a time")
    add("-m", dest="model", default="Qwen/Qwen3-32B", help="the model's name")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    stub = Stub(options)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", options.port, backlog=4096)
    sys.stderr.write(f"stub_server: 127.0.0.1:{options.port} slots={options.slots} service={options.service}\n")
    sys.stderr.flush()
    await ended.wait()
    server.close()


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    options = _parser().parse_args(arguments)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    # Nothing here makes cycles that matter, and a collection in the middle would be somebody's latency.
    gc.freeze()
    gc.disable()
    asyncio.run(_serve(options))


if __name__ == "__main__":
    main()
