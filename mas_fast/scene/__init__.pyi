"""The names of the package and where each is defined, for type checkers alone.

`__init__.py` imports them on first use, which no checker sees. tests/scene/test_names.py holds the
two together.
"""

from mas_fast.scene.labels import COCO_IDS as COCO_IDS
from mas_fast.scene.labels import COCO_NAMES as COCO_NAMES
from mas_fast.scene.labels import FACE_NAMES as FACE_NAMES
from mas_fast.scene.labels import LAYOUTS as LAYOUTS
from mas_fast.scene.labels import LIP_NAMES as LIP_NAMES
from mas_fast.scene.labels import MAS159 as MAS159
from mas_fast.scene.labels import MINI158 as MINI158
from mas_fast.scene.labels import PERSON as PERSON
from mas_fast.scene.labels import VOID as VOID
from mas_fast.scene.labels import Layout as Layout
from mas_fast.scene.labels import layout_named as layout_named
from mas_fast.scene.layers import Layers as Layers
from mas_fast.scene.open import open_scene as open_scene
from mas_fast.scene.open import read_scene as read_scene
from mas_fast.scene.open import square as square
from mas_fast.scene.readers import coco_labels as coco_labels
from mas_fast.scene.readers import read_coco_panoptic as read_coco_panoptic
from mas_fast.scene.readers import read_label_png as read_label_png
from mas_fast.scene.readers import read_two_channel as read_two_channel
from mas_fast.scene.rules import clean as clean
from mas_fast.scene.rules import find_edges as find_edges
from mas_fast.scene.rules import merge as merge
from mas_fast.scene.scene import Scene as Scene
from mas_fast.scene.semantic import ADE20K as ADE20K
from mas_fast.scene.semantic import CIHP as CIHP
from mas_fast.scene.semantic import COCO_STUFF as COCO_STUFF
from mas_fast.scene.semantic import COCO_STUFF_IDS as COCO_STUFF_IDS
from mas_fast.scene.semantic import SPACES as SPACES
from mas_fast.scene.semantic import LabelSpace as LabelSpace
from mas_fast.scene.spaces import space_named as space_named
from mas_fast.scene.words import label_named as label_named
from mas_fast.scene.words import scene_from_regions as scene_from_regions
