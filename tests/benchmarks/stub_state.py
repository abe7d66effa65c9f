"""What the stub server's connections share: its work, its slots and what it counted."""

from __future__ import annotations

import argparse
import resource
from dataclasses import dataclass, field

import stub_replies
from service import FAULTS, Work
from stub_slots import Ask, Slots, Turn

__all__ = ["Stub"]

OVERLOADED = b'{"error":{"message":"overloaded","type":"ServiceUnavailableError","code":503}}'


@dataclass(slots=True)
class Counts:
    requests: int = 0
    batches: int = 0
    conversations: int = 0
    rejected: int = 0
    ok: int = 0
    unique: int = 0
    repeat: int = 0
    connections: int = 0
    connections_total: int = 0
    connections_peak: int = 0
    bytes_in: int = 0
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))


class Stub:
    """What all connections share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.work = Work(options.service, options.seed, options.faults, options.faulty_attempts)
        self.is_instant = self.work.is_instant and not options.slots and not options.most
        self.options = options
        self.model = options.model.encode()
        self.slots = self._new_slots()
        self.counts = Counts()
        self.attempts: dict[int, int] = {}
        self.busy = stub_replies.plain(503, OVERLOADED, self.retry_after())

    def _new_slots(self) -> Slots:
        return Slots(self.options.slots, self.options.hang_ms / 1000, hang_outside=self.options.hang_outside)

    def retry_after(self) -> bytes:
        return b"retry-after: %s\r\n" % self.options.retry_after.encode() if self.options.retry_after else b""

    def has_room(self, conversations: int) -> bool:
        """Whether so many more may come in (`-O`)."""
        most = self.options.most
        return not most or self.slots.running + self.slots.waiting + conversations <= most

    def attempt(self, number: int) -> int:
        """How often a sample was asked for before."""
        before = self.attempts.get(number, 0)
        self.attempts[number] = before + 1
        if before:
            self.counts.repeat += 1
        else:
            self.counts.unique += 1
        return before

    def turn(self, ask: Ask, number: int) -> Turn:
        before = self.attempt(number)
        fault = self.work.fault(number, before)
        if fault:
            self.counts.faults[fault] += 1
        return Turn(ask, number, self.work.seconds(number, before), fault)

    def reset(self) -> None:
        """Forget what was counted; what is in a slot now stays there uncounted."""
        open_now = self.counts.connections
        self.counts = Counts(connections=open_now, connections_peak=open_now)
        self.attempts.clear()
        slots = self.slots
        slots.running_peak, slots.waiting_peak, slots.aborted, slots.seconds = slots.running, slots.waiting, 0, 0.0

    def metrics(self) -> bytes:
        counts, slots = self.counts, self.slots
        usage = resource.getrusage(resource.RUSAGE_SELF)
        values: dict[str, float] = {
            "vllm:num_requests_running": slots.running,
            "vllm:num_requests_waiting": slots.waiting,
            "stub_requests_total": counts.requests,
            "stub_batches_total": counts.batches,
            "stub_conversations_total": counts.conversations,
            "stub_rejected_total": counts.rejected,
            "stub_ok_total": counts.ok,
            "stub_unique_total": counts.unique,
            "stub_repeat_total": counts.repeat,
            "stub_aborted_total": slots.aborted,
            "stub_connections": counts.connections,
            "stub_connections_total": counts.connections_total,
            "stub_connections_peak": counts.connections_peak,
            "stub_running_peak": slots.running_peak,
            "stub_waiting_peak": slots.waiting_peak,
            "stub_service_seconds_total": slots.seconds,
            "stub_bytes_in_total": counts.bytes_in,
            "stub_cpu_user_seconds": usage.ru_utime,
            "stub_cpu_sys_seconds": usage.ru_stime,
        }
        values |= {f'stub_fault_total{{kind="{kind}"}}': count for kind, count in counts.faults.items()}
        return "".join(f"{name} {value}\n" for name, value in values.items()).encode()
