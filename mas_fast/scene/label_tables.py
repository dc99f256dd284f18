"""The classes of other people's label maps, as text.

There are their names in the order of their numbers, our class for each whose name differs, and
their colours. semantic.py makes LabelSpaces of these. A line of a table is "our class: class,
class, ...".
"""

ADE20K_NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt track, apparel,
pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain,
conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent,
bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle,
lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan,
pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""
ADE20K_TARGETS = """
banner: flag
boat: ship
building-other-merged: skyscraper, tower
cabinet-merged: wardrobe, chest of drawers, buffet
car: van
cardboard: box
chair: armchair, seat, swivel chair, stool
couch: sofa
counter: countertop, kitchen island, bar
cup: glass
dirt-merged: earth, dirt track, land
door-stuff: door, screen door
fence-merged: railing, bannister
grass-merged: field
house: hovel
light: lamp, chandelier, streetlight, sconce
mirror-stuff: mirror
motorcycle: minibike
mountain-merged: hill
oven: stove
paper-merged: poster
pavement-merged: sidewalk, path
pillow: cushion
platform: stage
road: runway
shelf: bookcase
sports ball: ball
stairs: stairway, escalator, step
table-merged: desk, pool table, coffee table
tree-merged: plant, palm
tv: television, crt screen, monitor
water-other: water, swimming pool, waterfall, lake, fountain
window-blind: blind
window-other: windowpane
"""
# CSAIL's color150. Road and skyscraper have one colour.
ADE20K_COLORS = """
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846
08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc
ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14
ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff
ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00
008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014
ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900
00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070
5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff
ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff
4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""

COCO_STUFF_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window,
desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other,
plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
# As COCO merged them for its panoptic classes. What it left out there is void here: cloth, clothes,
# furniture-other, ground-other, metal, plant-other, plastic, solid-other, structural-other,
# textile-other, waterdrops, wood.
COCO_STUFF_TARGETS = """
building-other-merged: skyscraper
cabinet-merged: cupboard
ceiling-merged: ceiling-other, ceiling-tile
dirt-merged: mud
fence-merged: cage, railing
floor-other-merged: floor-marble, floor-tile
food-other-merged: salad, vegetable
grass-merged: moss, straw
mountain-merged: hill
paper-merged: napkin
pavement-merged: floor-stone
rock-merged: stone
rug-merged: carpet, mat
sky-other-merged: clouds, fog
table-merged: desk-stuff
tree-merged: branch, bush, leaves
wall-other-merged: wall-concrete, wall-panel
"""

CITYSCAPES_NAMES = """
unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup,
traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan,
trailer, train, motorcycle, bicycle
"""
CITYSCAPES_TRAIN_NAMES = """
road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain, sky,
person, rider, car, truck, bus, train, motorcycle, bicycle
"""
CITYSCAPES_TARGETS = """
car: caravan
fence-merged: guard rail
grass-merged: terrain
pavement-merged: sidewalk, parking
person: rider
railroad: rail track
tree-merged: vegetation
truck: trailer
"""
CITYSCAPES_COLORS = """
000000 000000 000000 000000 000000 6f4a00 510051 804080 f423e8 faaaa0 e6968c 464646 66669c be9999
b4a5b4 966464 96785a 999999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046
003c64 00005a 00006e 005064 0000e6 770b20
"""

VOC_NAMES = """
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog,
horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
"""
VOC_TARGETS = """
airplane: aeroplane
couch: sofa
dining table: diningtable
motorcycle: motorbike
potted plant: pottedplant
tv: tvmonitor
"""
VOC_COLORS = """
000000 800000 008000 808000 000080 800080 008080 808080 400000 c00000 408000 c08000 400080 c00080
408080 c08080 004000 804000 00c000 80c000 004080
"""
VOC_BORDER = "e0e0c0"

PASCAL_CONTEXT_NAMES = """
background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse,
motorbike, person, pottedplant, sheep, sofa, train, tvmonitor, bag, bed, bench, book, building,
cabinet, ceiling, cloth, computer, cup, door, fence, floor, flower, food, grass, ground, keyboard,
light, mountain, mouse, curtain, platform, sign, plate, road, rock, shelves, sidewalk, sky, snow,
bedclothes, track, tree, truck, wall, water, window, wood
"""
PASCAL_CONTEXT_TARGETS = """
airplane: aeroplane
blanket: bedclothes
couch: sofa
door-stuff: door
motorcycle: motorbike
pavement-merged: sidewalk
potted plant: pottedplant
railroad: track
shelf: shelves
tv: tvmonitor
water-other: water
window-other: window
"""

CAMVID_NAMES = """
sky, building, pole, road, pavement, tree, sign symbol, fence, car, pedestrian, bicyclist,
unlabelled
"""
CAMVID32_NAMES = """
animal, archway, bicyclist, bridge, building, car, cart luggage pram, child, column pole, fence,
lane markings drivable, lane markings not drivable, misc text, motorcycle scooter, other moving,
parking block, pedestrian, road, road shoulder, sidewalk, sign symbol, sky, SUV pickup truck,
traffic cone, traffic light, train, tree, truck bus, tunnel, vegetation misc, void, wall
"""
CAMVID_TARGETS = """
building-other-merged: archway
car: SUV pickup truck
motorcycle: motorcycle scooter
pavement-merged: parking block, road shoulder, sidewalk
person: bicyclist, child, pedestrian
road: lane markings drivable, lane markings not drivable
tree-merged: vegetation misc
truck: truck bus
"""
CAMVID32_COLORS = """
408040 c00080 0080c0 008040 800000 400080 4000c0 c08040 c0c080 404080 8000c0 c00040 808040 c000c0
804040 40c080 404000 804080 8080c0 0000c0 c08080 808080 4080c0 000040 004040 c04080 808000 c080c0
400040 c0c000 000000 40c000
"""

# Of CelebAMask-HQ, as its own scripts number them.
CELEBAMASK_NAMES = """
background, skin, nose, eye_g, l_eye, r_eye, l_brow, r_brow, l_ear, r_ear, mouth, u_lip, l_lip,
hair, hat, ear_r, neck_l, neck, cloth
"""
CELEBAMASK_TARGETS = """
eyebrows: l_brow, r_brow
eyes: l_eye, r_eye
face: skin, l_ear, r_ear
hair: hair
hat: hat
inner-mouth: mouth
nose: nose
outer-mouth: u_lip, l_lip
person: ear_r, neck_l, neck
sunglasses: eye_g
upper-clothes: cloth
"""
