"""Captions to pictures, with the model that comes with mas_fast.

    python examples/paint_caption.py

Writes paint_caption.png, a contact sheet of two pictures for each caption, and beside it each
picture, its scene, and the scene to look at.
"""

import mas_fast

CAPTIONS = ["a red house beside a lake at dusk", "two dogs on a beach on a sunny day"]

model = mas_fast.load(device="cpu")
out = model.generate(CAPTIONS, num_images=2, seed=7)
for word in out.unknown_words:
    print(f"the model has not learned the word {word!r}")
for path in out.save("paint_caption.png"):
    print(path)

# The same caption with the same seed is the same picture, whatever is drawn beside it.
(alone,) = model.generate(CAPTIONS[1], seed=7).images
assert alone.tobytes() == out.images[2].tobytes()
