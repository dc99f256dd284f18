"""Where samples come from: folders, tars, COCO, label maps, tables of captions, landmarks."""
