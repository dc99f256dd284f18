"""The model behind the call of a DiffusionPipeline, for programs that know that one.

    python examples/paint_like_diffusers.py

Writes paint_like_diffusers.png. `generator`, `output_type` and `callback_on_step_end` are as in
diffusers, which is not needed here; a step is eight rows of tokens.
"""

from types import SimpleNamespace

import numpy as np
import torch

import mas_fast


class MakeAScenePipeline:
    def __init__(self, model):
        self.model = model

    @classmethod
    def from_pretrained(cls, name=None, **options):
        return cls(mas_fast.load(name, **options))

    def __call__(
        self,
        prompt,
        *,
        negative_prompt=None,
        guidance_scale=None,
        num_images_per_prompt=1,
        generator=None,
        output_type="pil",
        callback_on_step_end=None,
    ):
        events = []

        def step(event):
            events.append(event.share)
            callback_on_step_end(self, len(events) - 1, event.share, {"image": event.image})

        images = self.model.generate(
            prompt,
            negative=negative_prompt,
            guidance=guidance_scale,
            num_images=num_images_per_prompt,
            seed=int(torch.randint(2**63 - 1, (), generator=generator)),
            callback=step if callback_on_step_end else None,
        ).images
        if output_type != "pil":
            images = np.stack([np.asarray(image) for image in images]).astype(np.float32) / 255
        if output_type == "pt":
            images = torch.from_numpy(images).permute(0, 3, 1, 2)
        return SimpleNamespace(images=images)


pipe = MakeAScenePipeline.from_pretrained(device="cpu")  # or a name of the hub
show = lambda pipe, step, share, tensors: print(f"step {step}: {share:.0%}")  # noqa: E731
house = pipe("a red house", generator=torch.Generator().manual_seed(7), callback_on_step_end=show)
house.images[0].save("paint_like_diffusers.png")
