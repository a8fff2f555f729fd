"""First come, first served: one job is painted, the others wait; a client has one of each at most."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from minitorch_style.serve.child import Child
from minitorch_style.serve.errors import Refused
from minitorch_style.serve.jobs import Job
from minitorch_style.serve.worker import STOP, Message, Painted, work

MAX_WAITING = 20
MAX_KEPT_BYTES, MAX_ENDED = 300_000_000, 200  # of results that are kept
KEPT_SECONDS = 3600  # after a job's end
GONE_SECONDS = 60  # without a page that looks
SILENT_SECONDS = 600  # a process that says nothing for so long hangs; compiling takes a minute or two
DISCARD_SECONDS = 10  # that a discarded job may go on


class Queue:
    """`await serve()` paints until it is cancelled."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.running: Job | None = None
        self.silent_seconds: float = SILENT_SECONDS
        self.gone_seconds: float = GONE_SECONDS
        self.processor = asyncio.Lock()  # held by whoever computes: a job, or a live session
        self._waiting: deque[Job] = deque()
        self._arrived = asyncio.Event()
        self._worker: Child | None = None
        self._ready = False
        self._reader = ThreadPoolExecutor(1, "worker's pipe")
        self._killers: set[asyncio.Task[None]] = set()

    @property
    def worker_pid(self) -> int | None:
        return self._worker.process.pid if self._worker is not None and self._worker.alive else None

    @property
    def painter_pid(self) -> int | None:
        """The worker's process while it paints."""
        return self.worker_pid if self.running is not None else None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def require_place(self, client: str) -> None:
        """Refused: 429 for a client that has one waiting already, 503 when the queue is full."""
        if any(job.client == client for job in self._waiting):
            raise Refused(429, "you have a picture waiting already; it comes first")
        if len(self._waiting) >= MAX_WAITING:
            raise Refused(503, f"{len(self._waiting)} pictures are waiting already; try again soon")

    def submit(self, job: Job) -> None:
        """Puts a job in the queue; errors as for `require_place`."""
        self.require_place(job.client)
        self.jobs[job.id] = job
        self._waiting.append(job)
        self._tell_places()
        self._arrived.set()

    def stop(self, job: Job, discard: bool = False) -> None:
        """Ends a job with the picture it has, or without any."""
        if job in self._waiting:
            self._waiting.remove(job)
            self._tell_places()
            job.publish({"type": "discarded"})
        elif job is self.running and not job.over:
            if not job.stopping and self._worker is not None:
                job.stopping = True
                with suppress(OSError):  # it has died: whoever reads its pipe hears of that
                    self._worker.pipe.send(STOP)
            if discard:
                job.publish({"type": "discarded"})
                killer = asyncio.create_task(self._kill_if_running(job))
                self._killers.add(killer)
                killer.add_done_callback(self._killers.discard)
        if discard:
            self.jobs.pop(job.id, None)

    def tidy(self) -> None:
        """Stops jobs whose page is gone, forgets old ones."""
        now = time.monotonic()
        for job in list(self.jobs.values()):
            if not job.over and not job.listeners and now - job.seen > self.gone_seconds:
                self.stop(job)
        kept = 0
        ended = [job for job in self.jobs.values() if job.ended is not None]
        for place, job in enumerate(sorted(ended, key=lambda job: job.ended or 0, reverse=True)):
            kept += 0 if job.painted is None else job.painted.nbytes
            old = now - (job.ended or 0) > KEPT_SECONDS or place >= MAX_ENDED
            if old or (kept > MAX_KEPT_BYTES and place):  # the latest stays, whatever its size
                del self.jobs[job.id]

    async def serve(self) -> None:
        """Paints what comes. However this ends, the worker ends with it."""
        try:
            self._living_worker()
            while True:
                while not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                async with self.processor:
                    if self._waiting:  # else it was discarded meanwhile
                        self.running = self._waiting.popleft()
                        self._tell_places()
                        await self._paint(self.running)
                        self.running = None
        finally:
            if self._worker is not None:
                self._worker.kill()
            self._reader.shutdown()

    async def _paint(self, job: Job) -> None:
        worker = self._living_worker()
        job.publish({"type": "preparing", "first": not self._ready})
        try:
            worker.pipe.send(job.order)
            while True:
                receiving = asyncio.get_running_loop().run_in_executor(self._reader, worker.pipe.recv)
                message: Message = await asyncio.wait_for(receiving, self.silent_seconds)
                if self._take(job, message):
                    return
        except TimeoutError:
            worker.kill()
            self._fail(job, "the painter said nothing for too long and was ended")
        except (EOFError, OSError):
            worker.kill()
            code = worker.process.exitcode
            self._fail(
                job, f"the painter died ({_cause(code)}); a new one takes its place, and a smaller size may help"
            )

    def _take(self, job: Job, message: Message) -> bool:
        """Whether the worker is done with the job."""
        event, more = message
        if event["type"] == "ready":
            self._ready = True
            return False
        last = event["type"] in ("finished", "failed")
        if job.over:  # discarded meanwhile
            return last
        if isinstance(more, Painted):
            job.painted = more
        elif more is not None:
            job.preview = more
            event["preview"] = True
        job.publish(event)
        return last

    def _fail(self, job: Job, sentence: str) -> None:
        if not job.over:
            job.publish({"type": "failed", "sentence": sentence})

    def _living_worker(self) -> Child:
        if self._worker is None or not self._worker.alive:
            self._worker, self._ready = Child(work), False
        return self._worker

    async def _kill_if_running(self, job: Job) -> None:
        await asyncio.sleep(DISCARD_SECONDS)
        if self.running is job and self._worker is not None:
            self._worker.kill()

    def _tell_places(self) -> None:
        for place, job in enumerate(self._waiting, 1):
            job.publish({"type": "waiting", "place": place})


def _cause(code: int | None) -> str:
    return f"signal {-code}, most likely for want of memory" if code is not None and code < 0 else f"exit code {code}"
