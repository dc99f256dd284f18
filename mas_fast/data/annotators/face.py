"""Face parts from 68 landmarks, which the library face-alignment finds.

    face = Face.load(device="cuda")
    face_parts(landmarks, height, width)     # the drawing alone: landmarks [n, 68, 2] -> [H, W]

Landmarks are numbered as in iBUG 300-W, dlib and COCO-WholeBody: 0-16 the jaw, 17-21 and 22-26 the
brows, 27-30 the bridge of the nose and 31-35 its lower edge, 36-41 and 42-47 the eyes, 48-59 the
outer and 60-67 the inner edge of the lips.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from PIL import Image, ImageDraw

from mas_fast.data.annotators.base import (
    PROBE_SIDE,
    Annotator,
    batches,
    check_channels,
    check_pictures,
    library,
)
from mas_fast.scene import PERSON, Layers

INSTALL = "pip install 'face-alignment>=1.5'"
POINTS = 68
BROWS, EYES, NOSE, OUTER_MOUTH, INNER_MOUTH = range(1, 6)  # as scene.labels.FACE_NAMES
# (part, its points): filled polygons, later ones over earlier ones. The polygon of the nose is its
# tip and nostrils; with the bridge, a chord from nostril to brow would close it.
POLYGONS = (
    (BROWS, range(17, 22)),
    (BROWS, range(22, 27)),
    (EYES, range(36, 42)),
    (EYES, range(42, 48)),
    (NOSE, range(30, 36)),
    (OUTER_MOUTH, range(48, 60)),
    (INNER_MOUTH, range(60, 68)),
)
BRIDGE = range(27, 31)  # an open line, drawn before the polygons
BRIDGE_WIDTH = 0.05  # of the distance between the outer corners of the eyes
FAR = 2**20  # pixels; no landmark is farther away
SFD_MEAN_BGR = (104.0, 117.0, 123.0)  # of the detector's input


class Face(Annotator):
    """Face parts by the library face-alignment. Pictures without people have no faces.

    Args:
        aligner: a FaceAlignment of the library, 2D, with its `sfd` detector. Its
            get_landmarks_from_batch, get_landmarks_from_image, face_alignment_net and
            face_detector.face_detector are used.
        batch_size: pictures per batch, at most.

    Raises:
        ValueError: if red, green and blue do not arrive at the two networks as they should.
    """

    adds = ("face",)

    def __init__(self, aligner: Any, batch_size: int = 8) -> None:
        self.aligner, self.batch_size = aligner, batch_size
        self._check_channels()

    @classmethod
    def load(cls, device: str = "cpu", batch_size: int = 8) -> Face:
        """Load the library, which downloads its weights on first use and keeps them in torch.hub.

        Args:
            device: device of the networks.
            batch_size: pictures per batch, at most.

        Returns:
            The annotator.

        Raises:
            ValueError: if the library is missing, or if the weights are missing and cannot be
                downloaded.
        """
        face_alignment = library("face_alignment", INSTALL)
        try:
            aligner = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D,
                device=device,
                face_detector="sfd",
                compile=False,  # it would take a minute in every process
                max_batch_size=32,
            )
        except OSError as error:  # urllib's errors are among them
            import torch
            from face_alignment.api import models_urls
            from face_alignment.detection.sfd.sfd_detector import models_urls as detector_urls

            urls = f"{models_urls['2DFAN-4']} and {detector_urls['s3fd']}"
            raise ValueError(
                f"face-alignment: found no weights and could not download them ({error}). Put "
                f"{urls} into {torch.hub.get_dir()}/checkpoints"
            ) from error
        return cls(aligner, batch_size)

    def __call__(
        self, images: Sequence[np.ndarray], layers: Sequence[Layers | None]
    ) -> list[Layers]:
        check_pictures(images, layers, needs_layers=True)
        layers = cast(Sequence[Layers], layers)  # none is None: they were checked
        faces = [np.zeros(image.shape[:2], np.uint8) for image in images]
        peopled = [i for i, known in enumerate(layers) if (known.panoptic == PERSON).any()]
        for group in batches([images[i].shape for i in peopled], self.batch_size):
            batch = [peopled[n] for n in group]
            for i, landmarks in zip(
                batch, self._landmarks([images[i] for i in batch]), strict=True
            ):
                faces[i] = face_parts(landmarks, *images[i].shape[:2])
        return [replace(known, face=face) for known, face in zip(layers, faces, strict=True)]

    def _landmarks(self, images: list[np.ndarray]) -> list[np.ndarray]:
        """Return the landmarks [n, 68, 2] of each of some pictures of one size.

        The library takes RGB, 0..255, and returns the faces of a picture as one array [68 n, 2], or
        an empty list.
        """
        import torch

        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No faces were detected")
            faces = self.aligner.get_landmarks_from_batch(batch)
        faces = [()] * len(images) if faces is None else faces
        return [np.reshape(np.asarray(points, np.float64), (-1, POINTS, 2)) for points in faces]

    def _check_channels(self) -> None:
        everyone = Layers(np.full((PROBE_SIDE, PROBE_SIDE), PERSON, np.uint8))
        check_channels(
            "face: detector",
            self.aligner.face_detector.face_detector,
            lambda picture: self([picture], [everyone]),
            order="BGR",
            mean=SFD_MEAN_BGR,
            std=(1.0, 1.0, 1.0),
        )
        box = np.array([0.2 * PROBE_SIDE] * 2 + [0.8 * PROBE_SIDE] * 2 + [1.0])
        check_channels(
            "face: landmarks",
            self.aligner.face_alignment_net,
            lambda picture: self.aligner.get_landmarks_from_image(picture, detected_faces=[box]),
            order="RGB",
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
        )


def face_parts(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Draw the parts of faces, later faces over earlier ones.

    Parts are filled polygons; the bridge of the nose is an open line, and the jaw is not drawn.
    Points are rounded first, so that the drawing is the same on every machine.

    Args:
        landmarks: faces [n, 68, 2], (x, y) in pixels; a whole number is the middle of a pixel.
            Points may lie outside the picture.
        height: height of the picture in pixels.
        width: width of the picture in pixels.

    Returns:
        uint8 [H, W]: 0 none, 1 brows, 2 eyes, 3 nose, 4 outer mouth, 5 inner mouth.

    Raises:
        ValueError: for landmarks of another shape, that are no numbers, or are absurdly far away.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (POINTS, 2):
        raise ValueError(f"landmarks: found {list(landmarks.shape)}, expected [n, {POINTS}, 2]")
    if not (np.abs(landmarks) < FAR).all():
        raise ValueError(f"landmarks: found NaN or values beyond {FAR}, expected pixels")
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    for face in np.floor(landmarks + 0.5).astype(int):
        span = float(np.hypot(*(face[45] - face[36])))
        thick = max(1, round(BRIDGE_WIDTH * span))
        draw.line(_points(face, BRIDGE), fill=NOSE, width=thick, joint="curve")
        for part, points in POLYGONS:
            draw.polygon(_points(face, points), fill=part, outline=part)
    return np.array(canvas)


def _points(face: np.ndarray, numbers: range) -> list[tuple[int, int]]:
    return [tuple(point) for point in face[numbers.start : numbers.stop].tolist()]
