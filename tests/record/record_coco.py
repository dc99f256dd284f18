"""Writes tests/fixtures/coco: COCO photos that anyone may publish, in COCO's own layout.

    python tests/record/record_coco.py COCO CAPTIONS

COCO: a folder with images/, panoptic/, panoptic_{train,val}.json and manifest.jsonl, which has the
licence of each photo. CAPTIONS: COCO's captions_val2017.json.gz. Only photos under CC BY or
CC BY-SA are taken, file by file as they are; the JSON files keep only what is said of them, the
captions are all of COCO's. README.md beside them says whose the photos are.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "fixtures" / "coco"
LICENCES = {
    4: "[CC BY 2.0](https://creativecommons.org/licenses/by/2.0/)",
    5: "[CC BY-SA 2.0](https://creativecommons.org/licenses/by-sa/2.0/)",
}
TRAIN = (10005, 10073, 10083, 10249, 10405)  # without captions; of the others, all that may be

README = """# Real photos for the tests

{count} photos of [COCO 2017](https://cocodataset.org) that may be published, with annotations and \
captions, in COCO's own folders: `mas-fast data prepare tests/fixtures/coco -o scenes` reads them. \
Photos of `train2017` have no captions here.

| what | licence | changes |
|---|---|---|
| `train2017`, `val2017`: photos | each as in the table below | resized to a short side of 288 \
pixels, saved as JPEG (before they came here, by the makers of \
[taming-transformers](https://github.com/CompVis/taming-transformers)' COCO examples) |
| `annotations/panoptic_*`: segments | COCO Consortium, \
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) | put together from COCO's instances and \
stuff annotations (things over stuff, large ones first) and resized with the photos; they are not \
COCO's panoptic files |
| `annotations/captions_val2017.json.gz`: all 25,014 captions of val2017 | COCO Consortium, \
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) | \
of the images only ids and file names are kept |

COCO's files do not name the photographers: the link of a photo leads to its page on Flickr, which \
does. A photo under CC BY-SA stays under CC BY-SA, also in copies that are changed. \
`tests/record/record_coco.py` wrote this folder.

| file | photo on Flickr | licence |
|---|---|---|
"""


def main(coco: Path, captions: Path) -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    manifest = [json.loads(line) for line in (coco / "manifest.jsonl").read_text().splitlines()]
    table = []
    for split in ("train", "val"):
        rows = [row for row in manifest if row["split"] == split and row["license"] in LICENCES]
        rows = [row for row in rows if split == "val" or row["image_id"] in TRAIN]
        taken = {row["image_id"] for row in rows}
        name = f"{split}2017"
        pngs = OUT / "annotations" / f"panoptic_{name}"
        for folder in (OUT / name, pngs):
            folder.mkdir(parents=True)
        values = json.loads((coco / f"panoptic_{split}.json").read_text())
        for key, number in (("images", "id"), ("annotations", "image_id")):
            values[key] = [row for row in values[key] if row[number] in taken]
        values["info"] = {"description": f"{len(rows)} photos of COCO {name}, see README.md"}
        write_json(pngs.with_suffix(".json"), values)
        for row in rows:
            file = f"{row['image_id']:012}.jpg"
            shutil.copyfile(coco / "images" / file, OUT / name / file)
            png = file.replace(".jpg", ".png")
            shutil.copyfile(coco / "panoptic" / png, pngs / png)
            photo = re.search(r"/(\d+)_[0-9a-f]+(_\w)?\.jpg$", row["flickr_url"])[1]
            link = f"[{photo}](https://www.flickr.com/photo.gne?id={photo})"
            table.append(f"| {name}/{file} | {link} | {LICENCES[row['license']]} |")
    values = json.loads(gzip.decompress(captions.read_bytes()))
    values["images"] = [{key: i[key] for key in ("id", "file_name")} for i in values["images"]]
    text = json.dumps(values, separators=(",", ":"))
    file = OUT / "annotations" / "captions_val2017.json.gz"
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (OUT / "README.md").write_text(README.format(count=len(table)) + "\n".join(table) + "\n")


def write_json(file: Path, values: dict) -> None:
    file.write_text(json.dumps(values, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
