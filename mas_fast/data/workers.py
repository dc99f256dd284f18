"""Making shards: in this process, in a pool of processes, or on Ray Data.

One worker makes the whole of a shard, so the three ways differ only in where the work happens. If a
worker is killed, the work on its shard is lost, and another worker starts that shard again. An
error ends the run. Finished shards stay, and the same run goes on from there.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import struct
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int

TRIES = 3  # pools in a row that finish nothing before one of their workers is killed
DEVICES = (None, "cpu", "cuda")
LOCAL = "local"  # a Ray of our own
MESSAGE = struct.Struct("<qq")  # shard, images
Make = Callable[[int, Callable[[int], object]], int]  # see Job.open


class Job(ABC):
    """Makes the shards of a folder. It is pickled to each worker, which calls `open` once.

    Attributes:
        device: "cpu" or "cuda" if the job uses PyTorch, else None. A worker with PyTorch has one
            thread, because sums, and so results, depend on the number of threads. On a machine
            with several GPUs each worker has one of them: "cuda" is the worker's own.
    """

    device: str | None = None

    @abstractmethod
    def open(self) -> Make:
        """Get ready to make shards.

        Returns:
            A function make(shard, tick) -> images. It writes one whole shard, calls tick(images)
            on the way, and returns the total number of images.
        """


class Progress:
    """A bar of images, with images per second and the time left.

    Args:
        shards: number of shards to make.
        done: images that were there before.
        images: total number of images; None extrapolates it from the finished shards.
        show: whether to show the bar.
    """

    def __init__(self, shards: int, done: int, images: int | None, show: bool) -> None:
        self.shards, self.finished, self.images = shards, 0, 0
        self.partial: Counter[int] = Counter()
        self.known = images
        self.bar = progress_bar(total=images, initial=done, unit="image", show=show, smoothing=0.05)
        self.initial = done
        self._show()

    def tick(self, shard: int, images: int) -> None:
        """Add images of a shard that is still being made."""
        self.partial[shard] += images
        self._show()

    def done(self, shard: int, images: int) -> None:
        """Count a shard as finished; `images` is the number of all its images."""
        del self.partial[shard]
        self.finished += 1
        self.images += images
        self._show()

    def lost(self) -> None:
        """Forget the shards that were begun: they start again."""
        self.partial.clear()
        self._show()

    @property
    def seen(self) -> int:
        """Number of images so far."""
        return self.initial + self.images + self.partial.total()

    def _show(self) -> None:
        if self.known is None and self.finished:
            self.bar.total = self.initial + round(self.images * self.shards / self.finished)
        self.bar.set_postfix_str(f"shard {self.finished}/{self.shards}", refresh=False)
        self.bar.update(self.seen - self.bar.n)


def run_job(
    job: Job,
    shards: Sequence[int],
    *,
    workers: int = 1,
    ray: str | None = None,
    done: int = 0,
    images: int | None = None,
    progress: bool = True,
) -> None:
    """Make shards. Any error that a worker raises is raised here.

    Args:
        job: what makes them.
        shards: numbers of the shards.
        workers: number of processes, or of actors on Ray. One worker without Ray is this process.
        ray: None, "local", or the address of a cluster, whose machines have to share the folder.
        done: images that are already there, for the bar.
        images: total number of images if known, for the bar.
        progress: whether to show the bar.

    Raises:
        ValueError: if `workers` or the job's device is unfit.
        ChildProcessError: if workers are killed again and again, for example for lack of memory.
    """
    check_int("workers", workers, 1)
    if job.device not in DEVICES:
        raise ValueError(f"device: found {job.device!r}, expected 'cpu' or 'cuda'")
    if not shards:
        return
    bar = Progress(len(shards), done, images, progress)
    try:
        with bar.bar:
            if ray is not None:
                _on_ray(job, shards, workers, ray, bar)
            elif workers == 1:
                _here(job, shards, bar)
            else:
                _in_pool(job, shards, workers, bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_left(shards, bar)) from None
    except OSError as error:
        if error.errno is None:
            raise
        text = f"{error.strerror} ({_left(shards, bar)})"
        raise OSError(error.errno, text, error.filename) from error


def _left(shards: Sequence[int], bar: Progress) -> str:
    return f"{len(shards) - bar.finished} shards are left, and the same command goes on with them"


def _here(job: Job, shards: Sequence[int], bar: Progress) -> None:
    with _using(job.device):
        make = job.open()
        for shard in shards:
            bar.done(shard, make(shard, partial(bar.tick, shard)))


# ---------------------------------------------------------------------------- a local pool


def _in_pool(job: Job, shards: Sequence[int], workers: int, bar: Progress) -> None:
    waiting, tries = deque(shards), 0
    while waiting:
        finished = bar.finished
        try:
            _one_pool(job, waiting, min(workers, len(waiting)), bar)
        except BrokenProcessPool as error:
            tries = tries + 1 if bar.finished == finished else 1
            bar.lost()
            if tries == TRIES:
                raise ChildProcessError(
                    f"a worker was killed {tries} times before any shard was finished, the next "
                    f"being number {min(waiting)}: is there enough memory for {workers} workers? "
                    'A script calls this under `if __name__ == "__main__":`, or they run it too'
                ) from error


def _one_pool(job: Job, waiting: deque[int], workers: int, bar: Progress) -> None:
    """Make the shards of `waiting` and remove the finished ones from it.

    Raises BrokenProcessPool when a worker is killed.
    """
    context = multiprocessing.get_context("spawn")  # threads of PyTorch do not survive a fork
    reader, writer = context.Pipe(duplex=False)
    queue = deque(waiting)
    running: dict[Future[int], int] = {}  # the shard of each
    others = set(multiprocessing.active_children())
    with (
        reader,
        writer,
        ProcessPoolExecutor(workers, context, _start, (job, writer)) as pool,
    ):
        try:
            while queue or running:
                while queue and len(running) < 2 * workers:
                    shard = queue.popleft()
                    with _no_interrupt():  # a submission may start a process
                        running[pool.submit(_make, shard)] = shard
                finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
                while reader.poll():
                    bar.tick(*MESSAGE.unpack(reader.recv_bytes()))
                for future in finished:
                    bar.done(running[future], future.result())
                    waiting.remove(running.pop(future))
        except KeyboardInterrupt:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()  # a shard that is half made starts again next time
            raise
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # The others finish their shards; their messages are read and dropped.
            while any(not future.done() for future in running):
                wait(running, timeout=0.1)
                while reader.poll():
                    reader.recv_bytes()
            raise


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to all processes, from those that start in here.

    The process that feeds them gets it, and ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Worker:
    """The state of one process of the pool."""

    job: Job
    messages: Connection
    make: Make | None = None


_worker: _Worker


def _start(job: Job, messages: Connection) -> None:
    global _worker
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _worker = _Worker(job, messages)


def _end_with(parent: BaseProcess) -> None:
    """End this process with `parent`: a pool's workers do not notice that it was killed."""
    parent.join()
    os._exit(1)


def _make(shard: int) -> int:
    if _worker.make is None:  # not in _start, whose errors are not passed on
        _use(_worker.job.device, multiprocessing.current_process()._identity[0])
        _worker.make = _worker.job.open()
    # A message this short is written in one piece, even if several processes write.
    return _worker.make(shard, lambda n: _worker.messages.send_bytes(MESSAGE.pack(shard, n)))


# ---------------------------------------------------------------------------- Ray Data


class _Actor:
    """An actor of Ray Data: opens the job once and makes one shard per row.

    An exception becomes part of the row, because Ray would wrap it, and would start a constructor
    that fails over and over.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.make: Make | None = None

    def __call__(self, row: dict) -> dict:
        shard, images = int(row["shard"]), 0
        error: Exception | None = None
        try:
            if self.make is None:
                _use(self.job.device)
                self.make = self.job.open()
            images = self.make(shard, lambda n: None)
        except Exception as raised:
            error = raised
        return {"shard": shard, "images": images, "error": [error]}


def _on_ray(job: Job, shards: Sequence[int], workers: int, address: str, bar: Progress) -> None:
    try:
        import ray
        from ray.data import DataContext
    except ImportError as error:
        raise ImportError(f'Ray: {error}: pip install "mas_fast[ray]"') from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # the bar is ours
    ours = not ray.is_initialized()
    if ours:
        quiet: dict[str, Any] = {"logging_level": "warning", "log_to_driver": False}
        if address == LOCAL:
            cores = max(workers, len(os.sched_getaffinity(0)))
            ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    context = DataContext.get_current()
    shown, context.enable_progress_bars = context.enable_progress_bars, False
    workers = min(workers, len(shards))
    gpus = min(1.0, ray.cluster_resources().get("GPU", 0) / workers) if job.device == "cuda" else 0
    try:
        rows = ray.data.from_items(
            [{"shard": shard} for shard in shards], override_num_blocks=len(shards)
        )
        results = rows.map(
            _Actor,  # type: ignore[arg-type]  # Ray takes classes too; its annotation does not
            fn_constructor_args=(job,),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=gpus,
        )
        for row in results.iter_rows():
            if row["error"][0] is not None:
                raise row["error"][0]
            bar.done(row["shard"], row["images"])
    finally:
        context.enable_progress_bars = shown
        if ours:
            ray.shutdown()


# ---------------------------------------------------------------------------- devices


def _use(device: str | None, worker: int = 0) -> None:
    """Set up PyTorch in a worker. Raises ValueError if there is no such device."""
    if device is None:
        return
    import torch

    torch.set_num_threads(1)
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("device: found 'cuda', expected 'cpu': PyTorch sees no GPU here")
        torch.cuda.set_device(worker % torch.cuda.device_count())


@contextmanager
def _using(device: str | None) -> Iterator[None]:
    """Set up PyTorch in this process, and give it back its threads afterwards."""
    if device is None:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    try:
        _use(device)
        yield
    finally:
        torch.set_num_threads(threads)
