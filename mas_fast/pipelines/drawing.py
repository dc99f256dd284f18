"""From tokens that are given to whole pictures: rows in blocks, and which of several rows a picture
becomes. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mas_fast.generation.engine import Engine, Progress, Run, as_array
from mas_fast.generation.request import Request, request
from mas_fast.streams import Streams
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int

MOST_CANDIDATES = 16
Score = Callable[[int, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Step:
    """How far one of the pictures is; stream.Event says what the attributes are."""

    index: int
    rows: np.ndarray
    row: int
    share: float
    final: bool

    @property
    def tokens(self) -> np.ndarray:
        """int64 [S], all streams; -1 where they are neither given nor drawn."""
        return self.rows[self.row]


def draw(
    engine: Engine,
    given: np.ndarray,
    null: np.ndarray | None = None,
    *,
    num_images: int = 1,
    candidates: int = 1,
    best_of: int = 1,
    score: Score,
    every: int | None = None,
    progress: bool = False,
    **sampling: Any,
) -> Iterator[Step]:
    """Draw pictures, at most as many rows at once as the engine has `rows`.

    Row k of try j of picture n of a caption has sample number (n * best_of + j) * candidates + k.

    Args:
        engine: draws the tokens.
        given: int64 [B, S], the captions and what else is given; -1 where tokens are drawn.
        null: int64 [B, length of a caption], negative captions; None: none.
        num_images: pictures of each caption.
        candidates: rows of each try, from one prefill, of which the one goes on whose given tokens
            are likeliest, as soon as they all are behind.
        best_of: tries of each picture.
        score: of (index of the picture, tokens [best_of, S]) it makes [best_of] figures; the
            picture is the try with the highest.
        every: rows of a grid of tokens between two steps of a picture; None: its last step alone,
            which is also all that there is of several tries.
        progress: show a bar on stderr.
        sampling: other options of request.request.

    Returns:
        The steps of all pictures. Final ones are in order.

    Raises:
        ValueError: at the call, names what was found and what is allowed.
    """
    check_int("num_images", num_images, 1)
    check_int("candidates", candidates, 1, MOST_CANDIDATES)
    check_int("best_of", best_of, 1)
    if every is not None:
        check_int("every", every, 1)
    choice, caption = _choice(given), slice(engine.streams[0].length)
    if candidates > 1 and not choice:
        raise ValueError(
            f"candidates: found {candidates}, expected 1: no token is given after one that is "
            f"drawn, as in a part of a scene, so none speaks for a row; best_of={candidates} "
            "compares whole pictures"
        )
    count, most = num_images * best_of, max(1, engine.rows // candidates)
    batch = max(1, most // count)  # captions of a block
    blocks = [
        (
            b * count + n,
            request(
                engine.streams,
                given[b : b + batch, caption],
                forced=given[b : b + batch],
                null=None if null is None else null[b : b + batch],
                score_forced=candidates > 1,
                num_samples=min(most, count - n) * candidates,
                first_sample=n * candidates,
                **sampling,
            ),
        )
        for b in range(0, len(given), batch)
        for n in range(0, count, most)
    ]
    shown = _stops(engine.streams, given, every if best_of == 1 else None)
    steps = _steps(engine, blocks, candidates, choice, shown, progress)
    return steps if best_of == 1 else _best(steps, best_of, score)


def _steps(
    engine: Engine,
    blocks: list[tuple[int, Request]],
    candidates: int,
    choice: int,
    shown: list[int],
    progress: bool,
) -> Iterator[Step]:
    """One block after the other."""
    length, first = engine.streams.length, min(_first(asked.forced) for _, asked in blocks)
    total = max(length - first, 1)
    with progress_bar(total=len(blocks) * total, unit="token", show=progress) as bar:
        for done, (index, asked) in enumerate(blocks):

            def report(position: int, _: int, before: int = done * total) -> None:
                bar.update(before + max(position - first, 0) - bar.n)  # not for the caption

            given = asked.forced.repeat(asked.samples // candidates, 0)
            rounds = _rounds(engine.start(asked), candidates, choice, shown, report)
            for stop, drawn in rounds:
                share = 1 - (length - stop) / total
                rows = np.where(drawn < 0, given, drawn).astype(np.int64)
                for n in range(len(rows)):
                    yield Step(index + n, rows, n, share, stop == length)


def _rounds(
    run: Run, candidates: int, choice: int, shown: list[int], report: Progress
) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a block go on together: where they are, and the tokens [N, S] of N pictures, of
    each its row that leads."""
    stops = sorted({*shown, choice}) if candidates > 1 else shown
    for stop in stops:
        if stop > run.position:
            run.advance(stop - run.position, report)
        rows = _likeliest(run, candidates)
        if candidates > 1 and stop >= choice:
            run.keep(rows.tolist())
            candidates, rows = 1, np.arange(len(rows))
        if stop in shown:
            yield stop, as_array(run.tokens)[rows]


def _likeliest(run: Run, candidates: int) -> np.ndarray:
    """int64 [N]: of each picture's candidates, the row whose given tokens were likeliest so far."""
    if candidates == 1:
        return np.arange(len(run.tokens))
    likelihood = as_array(run.forced_log_likelihood).reshape(-1, candidates)
    return np.arange(len(likelihood)) * candidates + likelihood.argmax(1)


def _best(steps: Iterator[Step], tries: int, score: Score) -> Iterator[Step]:
    """Of each picture the try that scores highest, the first of equals."""
    group: list[np.ndarray] = []
    for step in steps:
        group.append(step.tokens)
        if len(group) == tries:
            index, drawn = step.index // tries, np.stack(group)
            yield Step(index, drawn[[score(index, drawn).argmax()]], 0, 1.0, True)
            group.clear()


def _first(given: np.ndarray) -> int:
    """The first position that is drawn in any row; S where none is."""
    drawn = np.flatnonzero((given < 0).any(0))
    return int(drawn[0]) if len(drawn) else given.shape[1]


def _choice(given: np.ndarray) -> int:
    """The position behind the last token that is given after a drawn one; 0: there is none."""
    late = ((given >= 0) & (np.cumsum(given < 0, 1) > 0)).any(0)
    return int(late.nonzero()[0][-1]) + 1 if late.any() else 0


def _stops(streams: Streams, given: np.ndarray, every: int | None) -> list[int]:
    """Positions at which steps are shown: after each `every` rows of a grid, and at its end. What
    is given at the beginning counts as one."""
    stops = {streams.length}
    for stream in streams.items[1:] if every else ():
        assert stream.grid is not None  # Painter's streams beside the caption have one
        rows, width = stream.grid
        start = streams.offset(stream.name)
        ends = {*range(every or 1, rows, every or 1), rows}
        stops |= {max(start + end * width, _first(given)) for end in ends}
    return sorted(stops)
