"""The engine for GPUs: decode steps captured in CUDA graphs.

engine = GraphEngine(model, dtype="int8")
run = engine.start(request(engine.streams, prompt, guidance=3.0))
run.advance()
run.tokens                                                # int64 [B * samples, S], on the device

A pass over the weights is a fixed list of launches (decode_step.py). It is captured once for each
number of sequences, width of the window and stream, alone and STEPS in a row, and the host comes
back to look at positions after each replay. Where Triton's interpreter runs the kernels, on a CPU,
the same passes run uncaptured.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast.generation.captured_step import STEPS, CapturedStep
from mas_fast.generation.decode_step import DecodeStep
from mas_fast.generation.eager import rows_at_once
from mas_fast.generation.engine import Progress, kept_rows
from mas_fast.generation.ids import sequences_of
from mas_fast.generation.request import Request
from mas_fast.generation.step_weights import DTYPES, Levels, StepWeights, pack_weights
from mas_fast.kernels.decode_attention import ROWS
from mas_fast.models.gpt import GPT
from mas_fast.ops.dispatch import default_impl
from mas_fast.ops.reference.sampling import nan_error
from mas_fast.utils.validate import check_choice, check_int

READ_AT_ONCE = 4  # prompts; with windows of 16 positions that is 64 rows
IDLE = 4  # steps of finished runs that are kept for the next ones, with what was captured of them


class GraphEngine:
    """A GPT's weights packed for decode steps on its device, for any number of runs.

    A row's bits depend neither on the rows beside it nor on the window, and prompts are read by the
    same kernels, so tokens are the same in any company and at any width. A window has at most 16
    positions, whatever is asked for; "auto" is as many as make 16 rows with the sequences that
    there are, which read what one position of each reads.

    Args:
        model: the GPT, on a CUDA device; under TRITON_INTERPRET=1 on a CPU.
        dtype: of the matrices, one of DTYPES: fp32, fp16, bf16, int8, fp8 or int4. The last three
            compute in bf16. None: the GPT's own.
        levels: of the matrices that a bundle stores in int4, as `pack_weights` takes them.

    Raises:
        ValueError: for a device or a dtype that the engine does not have.
        ImportError: where the CUDA code is not built.
    """

    def __init__(
        self, model: GPT, *, dtype: str | None = None, levels: Levels | None = None
    ) -> None:
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        if model.device.type != ("cpu" if interpreted else "cuda"):
            expected = "a CPU under TRITON_INTERPRET=1" if interpreted else "a CUDA device"
            raise ValueError(
                f"device: found {model.device}, expected {expected} for the engine 'graph', whose "
                "kernels run on a CPU in Triton's interpreter alone"
            )
        if model.device.type == "cuda" and default_impl(model.device, "sample_step") != "cuda":
            raise ImportError(
                "the engine 'graph' needs the CUDA code of mas_fast. With nvcc and a CUDA torch "
                "installed, run: MAS_FAST_CUDA=1 pip install --no-build-isolation -e ."
            )
        if dtype is None:
            names = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
            if model.dtype not in names:
                raise ValueError(f"dtype: found a GPT of {model.dtype}, expected {[*names]}")
            dtype = names[model.dtype]
        check_choice("dtype", dtype, DTYPES, "for the engine 'graph'")
        if interpreted and dtype == "bf16":
            raise ValueError(
                "dtype: found 'bf16', expected another one under TRITON_INTERPRET=1, which "
                "multiplies bfloat16 wrongly"
            )
        self.streams, self.rows = model.streams, rows_at_once(model)
        self.weights: StepWeights = pack_weights(model, dtype, levels)
        self._idle: OrderedDict[tuple[int, bool, int], CapturedStep] = OrderedDict()

    def start(self, request: Request) -> GraphRun:
        return GraphRun(self, request)

    @torch.no_grad()
    def advance(self, runs: Sequence[GraphRun], passes: int = 1) -> int:
        """Go on with several runs of this engine, whose rows share each pass over the weights.

        Runs may come and go between calls, and differ in all that a request says; those that draw
        the same stream, with or without guidance, are in one pass. The tokens of each are those
        that it would have alone. Runs that are at their end, or that an error has ended
        (`GraphRun.error`), are left out.

        Args:
            runs: the runs, each once.
            passes: at most so many of each; fewer where a run or its stream ends.

        Returns:
            The most passes that a run had a part in.
        """
        check_int("passes", passes, 1)
        groups: dict[tuple[bool, str], list[GraphRun]] = {}
        for run in runs:
            if run.error is None and run.position < run.stop:
                stream = self.streams.at(run.position).name
                groups.setdefault((run.guided, stream), []).append(run)
        made = [self._share(group, key[1], passes) for key, group in groups.items()]
        return max(made, default=0)

    def _share(self, runs: list[GraphRun], stream: str, passes: int) -> int:
        """Makes passes for runs that draw one stream. Returns how many."""
        count = sum(run.count for run in runs)
        count = 1 << (count - 1).bit_length()  # so that there are few shapes to capture
        captured, guided = runs[0].captured, runs[0].guided
        together = all(run.captured is captured for run in runs) and captured.runs == len(runs)
        if not together or captured.step.count != count:
            captured = self.take(count, guided=guided, window=ROWS // (count * (1 + guided)))
            captured.step.first.zero_()
            place = 0
            for run in runs:
                run.move(captured, place)
                place += run.count
        step = captured.step
        ends, stop = np.zeros(step.count, np.int32), self.streams.slice(stream).stop
        for run in runs:
            end = min(run.stop, stop)
            ends[run.sequences] = end
            passes = min(passes, -(-(end - run.position) // step.window))
        step.end.copy_(torch.from_numpy(ends))
        step.begin()
        score = any(run.request.score_forced for run in runs)
        captured.run((stream, score), lambda: step.draw(stream, score=score), passes)
        status = step.status()
        for run in runs:
            try:
                run.reach(status)
            except ValueError as error:
                run.error = str(error)
        return passes

    @torch.no_grad()
    def logits(self, tokens: object) -> dict[str, np.ndarray]:
        known = sequences_of(tokens, self.streams)
        count = min(known.shape[1], self.streams.length - 1)
        parts = {s.name: self.streams.predicting(s.name, count) for s in self.streams}
        found = {
            s.name: np.empty((len(known), parts[s.name].stop - parts[s.name].start, s.vocab), "f4")
            for s in self.streams
        }
        for b in range(0, len(known), READ_AT_ONCE):
            part = known[b : b + READ_AT_ONCE]
            captured = self.take(len(part), guided=False, window=min(ROWS, count))
            step = captured.step
            _set_prefix(step, part[:, :count])
            for start in range(0, count, step.window):
                captured.run("layers", step.layers, 1)
                for name, span in parts.items():
                    first, last = max(span.start, start), min(span.stop, start + step.window)
                    if first < last:
                        rows = step.head(name).view(len(part), step.window, -1)
                        rows = rows[:, first - start : last - start]
                        to = slice(first - span.start, last - span.start)
                        found[name][b : b + len(part), to] = rows.cpu().numpy()
                step.skip()
            self.give_back(captured)
        return found

    def take(self, count: int, *, guided: bool, window: int) -> CapturedStep:
        """A step for some sequences, one of a finished run where there is one."""
        window = min(max(window, 1), ROWS)
        if idle := self._idle.pop((count, guided, window), None):
            return idle
        with torch.inference_mode(False):  # else what is made here could be filled nowhere else
            return CapturedStep(DecodeStep(self.weights, count, guided=guided, window=window))

    def give_back(self, captured: CapturedStep) -> None:
        """Keep a step for the next run of its shape."""
        step = captured.step
        self._idle[step.count, step.guided, step.window] = captured
        while len(self._idle) > IDLE:
            self._idle.popitem(last=False)

    def read(self, tokens: np.ndarray, cache: DecodeStep, sequences: Sequence[int]) -> None:
        """Read the beginnings of sequences.

        Args:
            tokens: int [n, P].
            cache: receives their keys and values, in n of its sequences.
            sequences: which.
        """
        length = tokens.shape[1]
        for n in range(0, len(tokens) if length else 0, READ_AT_ONCE):
            part = tokens[n : n + READ_AT_ONCE]
            captured = self.take(len(part), guided=False, window=min(ROWS, length))
            step = captured.step
            _set_prefix(step, part)
            captured.run("read", step.read, -(-length // step.window))
            for i, q in enumerate(sequences[n : n + READ_AT_ONCE]):
                for new, old in ((cache.keys, step.keys), (cache.values, step.values)):
                    new[:, q, :, :length] = old[:, i, :, :length]
            self.give_back(captured)


class GraphRun:
    """A generation under way; kernels/next_rows.py says what a window of guesses does.

    Attributes:
        count: its rows.
        guided: whether each has an unconditional partner.
        error: what ended it, where `GraphEngine.advance` met that.
    """

    def __init__(self, engine: GraphEngine, request: Request) -> None:
        self.engine, self.request, self.stop = engine, request, request.stop
        self.guided = request.null is not None
        self.error: str | None = None
        device, samples = engine.weights.device, request.samples
        forced = request.forced.repeat(samples, 0)
        self.count, self._place = len(forced), 0
        # What every row forces is read before, and once for all rows that begin alike.
        drawn = (request.forced[:, : self.stop] < 0).any(0)
        self.position = int(drawn.argmax()) if drawn.any() else self.stop
        self._tokens = torch.from_numpy(forced.astype(np.int64)).to(device)
        self._likelihood = torch.zeros(self.count, dtype=torch.float64, device=device)
        self._captured: CapturedStep | None = None  # none at the end
        if self.position < self.stop:
            self._captured = self._take()
            self._captured.runs += 1
            self._load(self._captured.step, forced)

    @property
    def captured(self) -> CapturedStep:
        """Where its sequences are; while it is not at its end."""
        assert self._captured is not None
        return self._captured

    @property
    def sequences(self) -> slice:
        """Which sequences of the step they are."""
        return slice(self._place, self._place + self.count)

    @property
    def tokens(self) -> Tensor:
        tokens = self._tokens.clone()
        if self._captured is not None:
            tokens = self._captured.step.tokens[self.sequences].long()
        tokens[:, self.position :] = -1
        return tokens

    @property
    def forced_log_likelihood(self) -> Tensor:
        if self._captured is not None and self.request.score_forced:
            return self._captured.step.likelihood[self.sequences].clone()
        return self._likelihood.clone()

    @torch.no_grad()
    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        check_int("count", count, 0)
        end = min(self.position + count, self.stop) if count else self.stop
        streams = self.engine.streams
        if self.position < end and self.captured.step.count != self.count:
            self.move(self._take(), 0)  # out of a step that it shares
        while self.position < end:
            stream = streams.at(self.position).name
            self._advance(stream, min(end, streams.slice(stream).stop), progress)
        return self.position

    def _advance(self, stream: str, end: int, progress: Progress | None) -> None:
        """Goes on to a position within a stream, or to its end."""
        captured, step, score = self.captured, self.captured.step, self.request.score_forced
        step.end.fill_(end)
        step.begin()
        while self.position < end:
            # So many it takes in any case; where it takes more, guesses were wrong.
            passes = min(STEPS, -(-(end - self.position) // step.window))
            captured.run((stream, score), lambda: step.draw(stream, score=score), passes)
            self.reach(step.status())
            if progress:
                progress(self.position, self.stop)

    def reach(self, status: list[list[int]]) -> None:
        """Take note of where its sequences are.

        Args:
            status: of all sequences of the step: their last known positions, and why they cannot
                go on.

        Raises:
            ValueError: if a logit is NaN.
        """
        reached, failed = (values[self.sequences] for values in status)
        self.position = min(reached) + 1
        for row in [n for n, token in enumerate(failed) if token < -1][:1]:
            raise nan_error(row, -2 - failed[row])
        if self.position == self.stop:
            self._tokens, self._likelihood = self.tokens, self.forced_log_likelihood
            self._leave()

    @torch.no_grad()
    def keep(self, rows: Sequence[int]) -> None:
        kept = torch.from_numpy(kept_rows(rows, self.count)).to(self._tokens.device)
        self._tokens, self._likelihood = self._tokens[kept], self._likelihood[kept]
        if self._captured is None:
            self.count = len(kept)
        else:
            self.move(self._take(len(kept)), 0, kept)

    def move(self, captured: CapturedStep, place: int, rows: Tensor | None = None) -> None:
        """Go on in another step.

        Args:
            captured: the step.
            place: the number of its first sequence there.
            rows: int64 [n], those that go on; None: all.
        """
        if rows is None:
            rows = torch.arange(self.count, device=self._tokens.device)
        captured.step.copy(self.captured.step, rows + self._place, place)
        self._leave()
        captured.runs += 1
        self._captured, self._place, self.count = captured, place, len(rows)

    def _leave(self) -> None:
        self.captured.runs -= 1
        if not self.captured.runs:
            self.engine.give_back(self.captured)
        self._captured = None

    def _take(self, count: int | None = None) -> CapturedStep:
        """A step of its own."""
        count, window = count or self.count, self.request.speculate
        if window == "auto":
            window = ROWS // (count * (1 + self.guided))
        return self.engine.take(count, guided=self.guided, window=window)

    def _load(self, step: DecodeStep, forced: np.ndarray) -> None:
        """Sets all that the passes read, and reads the prompts."""
        asked, vocabs = self.request, [stream.vocab for stream in self.engine.streams]
        tokens = forced
        if asked.null is not None:
            unconditional = forced.copy()
            unconditional[:, : asked.null.shape[1]] = asked.null.repeat(asked.samples, 0)
            tokens = np.concatenate([forced, unconditional])
        drawn, how = forced < 0, asked.sampling
        numbers = np.arange(asked.samples) + asked.first_sample
        top_k = [min(one.top_k or 0, vocab) for one, vocab in zip(how, vocabs, strict=True)]
        for buffer, values in (
            (step.tokens, tokens),
            (step.forced, forced),
            (step.guidance, asked.guidance),
            (step.temperature, np.array([[one.temperature] for one in how])),
            (step.top_k, np.array(top_k)[:, None]),
            (step.top_p, np.array([[one.top_p or 0.0] for one in how])),
            (step.seed, np.array(asked.seed, np.uint64).astype(np.int64)),
            (step.sample, np.tile(numbers, len(asked.forced))),
            (step.after, np.where(drawn.any(1), drawn.argmax(1), drawn.shape[1])),
        ):
            buffer.copy_(torch.from_numpy(values))
        known = self.position - 1  # the last known token is read by the first pass
        step.first.fill_(known)
        step.likelihood.zero_()
        prefix = tokens[:, :known]
        owner = np.array([int((prefix == row).all(1).argmax()) for row in prefix])
        owners = np.unique(owner)
        step.owner.copy_(torch.from_numpy(owner))
        step.shared.copy_(torch.from_numpy(np.where(owner == np.arange(len(owner)), 0, known)))
        self.engine.read(prefix[owners], step, owners.tolist())


def _set_prefix(step: DecodeStep, tokens: np.ndarray) -> None:
    """Makes tokens [B, P] what a step reads, from the first position on."""
    step.tokens[:, : tokens.shape[1]] = torch.from_numpy(tokens).to(step.tokens)
    step.end.fill_(tokens.shape[1])
    step.first.zero_()
    step.shared.zero_()
    step.begin()
