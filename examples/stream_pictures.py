"""A picture as it appears: its scene first, then row by row.

    python examples/stream_pictures.py

Writes stream_pictures.gif, and stream_pictures.png when the picture is whole. An event's picture is
decoded when it is looked at; what is not drawn yet has the colours of the scene.
"""

import mas_fast

model = mas_fast.load(device="cpu")
frames = []
for event in model.stream("a red house beside a lake at dusk", seed=7, every=2):
    what = "the picture" if event.scene else "the scene"
    print(f"{event.share:4.0%} drawn, {what} appears")
    frames.append(event.image)
    if event.final:
        event.image.save("stream_pictures.png")
frames[0].save("stream_pictures.gif", save_all=True, append_images=frames[1:], duration=300)
