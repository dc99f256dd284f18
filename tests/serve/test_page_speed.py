"""The page in a browser: how soon the scene and the picture follow a stroke."""

import statistics

import pytest

STROKES = 50
WATCH = """{ window.times = []; const now = () => performance.now() / 1000;
  document.addEventListener('pointerup', () => times.push({ lifted: now() }), true);
  p.runs.addEventListener('event', ({ detail: { event } }) => {
    if (event.shot.labels) times.at(-1).scene ??= now() - times.at(-1).lifted; });
  p.runs.addEventListener('end', () => { times.at(-1).whole = now() - times.at(-1).lifted; }); }"""


@pytest.mark.slow
def test_scene_and_picture_follow_a_stroke(visit):
    page = visit()
    page.page.fill("#caption", "an elephant on the grass")
    page.choose("elephant")
    page.run(WATCH)
    for n in range(STROKES):
        page.stroke((10 + n % 40, 30), (12 + n % 40, 40))
        page.page.wait_for_function("n => times.length === n && times.at(-1).whole", arg=n + 1)
    times = page.page.evaluate("times")
    scene, whole = (statistics.median(time[name] for time in times) for name in ("scene", "whole"))
    print(f"median of {STROKES}: scene {scene:.3f} s, picture {whole:.3f} s")
    assert scene <= 0.3
    assert whole <= 1.0
