"""People, turned a little to the right, with the parts of body and face.

A person's right side is the nearer one (it is their left where the figure is mirrored). A standing
person is 1 high; sitting and riding ones keep that scale, so they are lower.
"""

from __future__ import annotations

import numpy as np

from mas_fast.data.storybook.canvas import Canvas, Color
from mas_fast.data.storybook.world2.clothes import (
    draw_arm,
    draw_collar,
    draw_hips,
    draw_leg,
    draw_skirt,
    draw_torso,
    dressed,
)
from mas_fast.data.storybook.world2.faces import draw_head, draw_lots, hair_behind
from mas_fast.data.storybook.world2.forms import pose_of
from mas_fast.data.storybook.world2.look import Look
from mas_fast.data.storybook.world2.skeleton import BUILDS, NECK, POSES, bones

# Widths of the box around a person, by pose, and the height of the head's top (without a hat).
_WIDTHS = {"stand": 0.62, "wave": 0.56, "walk": 0.66, "run": 0.8, "sit": 0.74, "ride": 0.8}
WIDTHS = {kind: _WIDTHS for kind in BUILDS}
HEIGHTS = {"stand": 1.0, "wave": 1.0, "walk": 1.0, "run": 0.93, "sit": 0.86, "ride": 0.97}
# Height of the seat that a person sits on, by pose.
SEATS = {
    kind: {
        pose: bones(build, POSES[pose], np.random.default_rng(0)).rise - 0.045
        for pose in ("sit", "ride")
    }
    for kind, build in BUILDS.items()
}


def _person(canvas: Canvas, kind: str, color: Color, look: Look) -> None:
    pose = pose_of(kind, look, POSES)
    build = BUILDS[kind]
    head, outfit = draw_lots(kind, look), dressed(kind, color, look)
    joints = bones(build, POSES[pose], look.generator)
    near, far = joints.arms
    tilt = float(look.generator.uniform(-5, 4)) - 0.8 * joints.lean
    face = (0.012, -build.torso - NECK - build.head, build.head)
    with canvas.at(0, -joints.rise, 1.0):
        with canvas.at(0, 0, 1.0, turn=joints.lean):
            draw_arm(canvas, look, outfit, head.skin, far, build.limb, "left", far=True)
            with canvas.at(*face, turn=tilt):
                hair_behind(canvas, head, look)
        for n, side in ((1, "left"), (0, "right")):
            draw_leg(canvas, look, outfit, head.skin, joints.legs[n], joints.pitch[n],
                     build.limb, side, far=n == 1)  # fmt: skip
        draw_hips(canvas, look, outfit, build, joints)
        draw_skirt(canvas, look, outfit, build, joints)
        with canvas.at(0, 0, 1.0, turn=joints.lean):
            draw_torso(canvas, look, outfit, build, joints)
            draw_collar(canvas, look, outfit, head.skin, build)
            with canvas.at(*face, turn=tilt):
                draw_head(canvas, head, look)
            draw_arm(canvas, look, outfit, head.skin, near, build.limb, "right")


def man(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a man: a shirt of that colour, or a coat, and trousers; a beard, a hat by chance."""
    _person(canvas, "man", color, look)


def woman(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a woman: a dress of that colour, or a coat; long or short hair, a hat by chance."""
    _person(canvas, "woman", color, look)


def boy(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a boy: a shirt of that colour and shorts, or a coat; a cap by chance."""
    _person(canvas, "boy", color, look)


def girl(canvas: Canvas, color: Color, look: Look) -> None:
    """Draw a girl: a short dress of that colour, or a coat; bunches, plaits or loose hair."""
    _person(canvas, "girl", color, look)
