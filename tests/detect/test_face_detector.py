"""FCOS: decoding against its definition, search passes with a perfect network, and real images."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.conftest import draw_blocks, find_blocks
from utils import paths
from utils.boxes import box_iou, clip_boxes
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.detect import onnx_session
from utils.detect.face_detector import (
    CROWD,
    EXTRA_PASSES,
    FAST_PASSES,
    FCOS,
    MAX_FACES,
    MIN_HEIGHT_TO_WIDTH,
    TILE_ODDS,
    decode_faces,
)
from utils.detect.grid import PAD, grid_points
from utils.formats import read_voc_folder
from utils.images import crop_image, read_image, resize_image
from utils.labels import BOX_COLUMNS
from utils.train import assign_faces

ANNOTATED = dict(tuple(read_voc_folder(paths.EXAMPLES_DIR)[0].groupby("file")))
# Shape of the stand-in network.
STRIDES = (4, 8, 16, 32)
SIDE = 160
METADATA = {"strides": json.dumps(STRIDES), "side": str(SIDE), "calibration": "[2.0, 1.0]"}


def draw_output(seed: int) -> np.ndarray:
    """Return a random output (P, 8) for 64 x 64 pixels, with confidences of all sizes."""
    count = len(grid_points((64, 64), STRIDES)[0])
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, 4))
    distances = rng.uniform(0.3, 4, (count, 4))
    return np.concatenate([logits, distances], axis=1).astype(np.float32)


def test_low_logits_everywhere_decode_to_no_face():
    output = draw_output(2)
    output[:, 3] = -20
    found = decode_faces(output, (64, 64), STRIDES)
    assert len(found) == 0
    assert (found.xyxy.shape, found.y_prob.shape) == ((0, 4), (0, len(CLASS_NAMES)))


@pytest.mark.parametrize("calibration", [(1.0, 0.0), (0.7, -1.0)], ids=str)
def test_decoding_follows_its_definition_at_each_point(calibration):
    """Without suppression and voting."""
    output = draw_output(0)
    found = decode_faces(
        output,
        (64, 64),
        STRIDES,
        min_confidence=0.6,
        calibration=calibration,
        max_iou=1.0,
        vote_iou=1.0,
    )
    factor, offset = calibration
    points, stride_of = grid_points((64, 64), STRIDES)
    expected = []
    for (x, y), stride, row in zip(points, stride_of, output.astype(float), strict=True):
        confidence = 1 / (1 + np.exp(-(factor * row[3] + offset)))
        left, top, right, bottom = np.log1p(np.exp(row[4:])) * stride
        box = np.clip([x - left, y - top, x + right, y + bottom], 0, 64)
        is_flat = box[3] - box[1] < MIN_HEIGHT_TO_WIDTH * (box[2] - box[0])
        if confidence >= 0.6 and not is_flat:
            odds = np.exp(row[:3])
            expected.append([confidence, *box, *odds / odds.sum(), 0])
    assert len(expected) > 20
    expected = np.array(sorted(expected, reverse=True))
    table = np.column_stack([found.confidence, found.xyxy, found.y_prob])
    np.testing.assert_allclose(table, expected, atol=1e-4)


def test_decoded_boxes_do_not_overlap():
    found = decode_faces(
        draw_output(1), (64, 64), STRIDES, min_confidence=0.3, max_iou=0.45, vote_iou=1.0
    )
    assert len(found) > 5
    assert (np.triu(box_iou(found.xyxy, found.xyxy), 1) <= 0.45).all()
    assert (np.diff(found.confidence) <= 0).all()


def test_boxes_below_vote_confidence_move_no_other_box():
    output = draw_output(1)
    only_sure = decode_faces(output, (64, 64), STRIDES, min_confidence=0.6)
    all_vote = decode_faces(output, (64, 64), STRIDES, min_confidence=0.1)
    found = decode_faces(output, (64, 64), STRIDES, min_confidence=0.1, vote_confidence=0.6)
    assert len(found) > len(only_sure) > 5
    sure = found[found.confidence >= 0.6]
    np.testing.assert_array_equal(sure.xyxy, only_sure.xyxy)
    moved = all_vote[all_vote.confidence >= 0.6]
    assert not np.array_equal(sure.xyxy, moved.xyxy)


def test_the_most_confident_thousand_boxes_are_kept():
    output = np.random.default_rng(0).normal(-8, 1, (64 * 64, 8)).astype(np.float32)
    output[:, 4:] = -3  # boxes too small to overlap
    found = decode_faces(output, (512, 512), (8,), min_confidence=0.0)
    confidence = np.sort(1 / (1 + np.exp(-output[:, 3])))[::-1]
    np.testing.assert_allclose(found.confidence, confidence[:MAX_FACES], rtol=1e-5)


def write_model(path, metadata=METADATA):
    """Write a model that returns its input."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", "H", "W", 3])
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT, ["N", "H", "W", 3])
    node = helper.make_node("Identity", ["pixels"], ["same"])
    graph = helper.make_graph([node], "same", [pixels], [same])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def test_strides_side_and_calibration_are_read_from_the_model_file(tmp_path):
    path = write_model(tmp_path / "é.onnx")
    fcos = FCOS(path=path)
    assert (fcos.strides, fcos.side, fcos.calibration) == (STRIDES, SIDE, (2.0, 1.0))
    assert FCOS(path=path, side=96).side == 96


def test_a_missing_model_file_is_named(tmp_path):
    message = r"none\.onnx is missing: check the path, or restore it with `git checkout`"
    with pytest.raises(FileNotFoundError, match=message):
        FCOS(path=tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"text"], ids=["empty", "text"])
def test_a_damaged_model_file_is_named(content, tmp_path, capfd):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.onnx is damaged: restore"):
        FCOS(path=path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", METADATA)
def test_a_model_file_without_its_metadata_is_named(missing, tmp_path, capfd):
    metadata = {key: value for key, value in METADATA.items() if key != missing}
    path = write_model(tmp_path / "net.onnx", metadata)
    with pytest.raises(ValueError, match=r"net\.onnx is damaged or not a face detector: restore"):
        FCOS(path=path)
    assert capfd.readouterr() == ("", "")


class BlockSession:
    """A stand-in for ONNX Runtime's session: a perfect network that finds coloured blocks.

    Attributes:
        seen: the inputs of all runs.
        doubtful_from: blocks with at least this side, pixels, get a low confidence.
    """

    def __init__(self, *_, **__) -> None:
        self.seen = []
        self.doubtful_from = np.inf

    def get_modelmeta(self) -> SimpleNamespace:
        return SimpleNamespace(custom_metadata_map=METADATA)

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="pixels")]

    def run(self, _, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        (pixels,) = feeds["pixels"]
        self.seen.append(pixels)
        points, stride_of = grid_points(pixels.shape[1::-1], STRIDES)
        xyxy = find_blocks(pixels.astype(np.uint8)).xyxy
        face, _ = assign_faces(xyxy, points, stride_of)
        output = np.zeros((len(points), 8), np.float32)
        output[:, 3] = np.where(face >= 0, 2, -5)

        chosen = np.flatnonzero(face >= 0)
        box = xyxy[face[chosen]]
        is_doubtful = box[:, 2] - box[:, 0] >= self.doubtful_from
        output[chosen[is_doubtful], 3] = -1.2
        x, y = ((box[:, :2] + box[:, 2:]) / 2).astype(int).T
        output[chosen, :3] = pixels[y, x] / 25  # red, green and blue stand for the three classes
        sides = np.concatenate([points[chosen] - box[:, :2], box[:, 2:] - points[chosen]], axis=1)
        output[chosen, 4:] = np.log(np.expm1(sides / stride_of[chosen, None]))  # inverse softplus
        return [output[None]]


@pytest.fixture
def make_fcos(tmp_path, monkeypatch):
    """Return a function that makes an FCOS with the perfect network."""
    monkeypatch.setattr(onnx_session.ort, "InferenceSession", BlockSession)
    path = tmp_path / "net.onnx"
    path.touch()

    def make(**options) -> FCOS:
        return FCOS(path=path, **options)

    return make


# Width and height of an image, and the sides of its blocks, which lie apart.
SCENES = {
    "no face": ((160, 160), []),
    "as large as the network's input": ((160, 160), [20, 30, 60]),
    "sides that are no multiples of the stride": ((157, 83), [20, 30]),
    "enlarged": ((61, 47), [9, 16]),
    "a little larger": ((220, 200), [24, 40, 64]),
    "a face as large as the image": ((600, 500), [440]),
    "huge, small and large faces": ((1280, 900), [14, 20, 33, 50, 90, 130, 260, 18, 27, 16]),
    "a panorama": ((1300, 60), [16, 20, 33, 40, 18, 25]),
    "a tower": ((50, 1100), [14, 20, 33, 18, 16]),
}


def lie_apart(box: tuple, other: tuple, gap: int = 8) -> bool:
    """Return whether two boxes are more than a gap apart."""
    is_beside = box[0] > other[2] + gap or other[0] > box[2] + gap
    is_above = box[1] > other[3] + gap or other[1] > box[3] + gap
    return is_beside or is_above


def draw_scene(resolution_wh, sides, seed=0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return an image with a block of each side, the blocks' boxes and their classes."""
    width, height = resolution_wh
    rng = np.random.default_rng(seed)
    boxes = []
    for side in sorted(sides, reverse=True):
        for _ in range(2000):
            x = int(rng.integers(0, width - side + 1))
            y = int(rng.integers(0, height - side + 1))
            box = (x, y, x + side, y + side)
            if all(lie_apart(box, other) for other in boxes):
                boxes.append(box)
                break
    assert len(boxes) == len(sides)
    names = [MASK_CLASSES[number % 3] for number in range(len(boxes))]
    image = draw_blocks(*zip(names, boxes, strict=True), resolution_wh=resolution_wh)
    return image, np.array(boxes, np.float32).reshape(-1, 4), names


@pytest.mark.parametrize(("resolution_wh", "sides"), SCENES.values(), ids=SCENES.keys())
@pytest.mark.parametrize("seed", range(4))
def test_with_a_perfect_network_each_face_is_found_once(seed, resolution_wh, sides, make_fcos):
    image, boxes, names = draw_scene(resolution_wh, sides, seed)
    found = make_fcos()(image)
    assert found.y_prob.shape == (len(found), len(CLASS_NAMES))
    assert len(found) == len(boxes)
    np.testing.assert_array_equal(found.xyxy, clip_boxes(found.xyxy, resolution_wh))
    if len(boxes) == 0:
        return
    iou = box_iou(boxes, found.xyxy)
    match = iou.argmax(axis=1)
    assert sorted(match.tolist()) == list(range(len(boxes)))
    assert iou.max(axis=1).min() > 0.75
    assert [MASK_CLASSES[row.argmax()] for row in found.y_prob[match, :3]] == names
    # The network's logit is 2, the calibration is 2 * logit + 1; a tile lowers the odds.
    logits = np.array([5, 5 + np.log(TILE_ODDS)])
    expected = (1 / (1 + np.exp(-logits))).round(4)
    assert set(found.confidence.astype(float).round(4)) <= set(expected)


@pytest.mark.parametrize(
    ("sides", "passes"), [([], 2), ([20], 2), ([20, 20], 1), ([20, 24, 30], 1), ([20, 50], 2)]
)
def test_the_coarse_pass_is_skipped_if_several_faces_are_all_small(sides, passes, make_fcos):
    image, boxes, _ = draw_scene((160, 160), sides)
    fcos = make_fcos()
    assert len(fcos(image)) == len(boxes)
    assert len(fcos._session.seen) == passes


def test_a_hint_of_a_large_face_among_small_ones_starts_the_coarse_pass(make_fcos):
    image, boxes, _ = draw_scene((160, 160), [20, 24, 90])
    fcos = make_fcos()
    fcos._session.doubtful_from = 60
    found = fcos(image)
    assert len(found) == len(boxes) == 3
    assert (found.confidence > 0.5).all()
    assert box_iou(boxes, found.xyxy).max(axis=1).min() > 0.75


def test_without_tiles_small_faces_of_a_large_image_are_missed(make_fcos):
    image, boxes, _ = draw_scene((1280, 900), [14, 20, 130, 260])
    found = make_fcos(passes=FAST_PASSES)(image)
    assert 0 < len(found) < len(boxes)


@pytest.mark.parametrize(
    ("count", "passes", "expected"),
    [(CROWD - 1, EXTRA_PASSES, 0), (CROWD, EXTRA_PASSES, 1), (CROWD, FAST_PASSES, 0)],
)
def test_a_crowd_is_searched_once_more_enlarged(count, passes, expected, make_fcos):
    image, boxes, _ = draw_scene((160, 120), [10] * count)
    fcos = make_fcos(passes=passes)
    found = fcos(image)
    assert len(found) == len(boxes)
    assert box_iou(boxes, found.xyxy).max(axis=1).min() > 0.75
    enlarged = [pixels for pixels in fcos._session.seen if pixels.shape[1] > SIDE + STRIDES[-1]]
    assert len(enlarged) == expected


@pytest.mark.parametrize(
    "size",
    [(1, 1), (3, 2), (1, 4000), (4000, 1), (60, 20_000), (160, 160), (83, 157), (500, 700)],
    ids=str,
)
def test_inputs_are_padded_with_gray_to_multiples_of_the_stride(size, make_fcos):
    fcos = make_fcos()
    assert len(fcos(np.full((*size, 3), 200, np.uint8))) == 0
    for pixels in fcos._session.seen:
        padded = np.array(pixels.shape[:2])
        assert pixels.dtype == np.float32
        assert (padded % STRIDES[-1] == 0).all()
        is_image = (pixels == 200).all(axis=2)
        height = is_image.any(axis=1).sum()
        width = is_image.any(axis=0).sum()
        assert is_image[:height, :width].all()
        assert height * width == is_image.sum() > 0
        assert (pixels[~is_image] == PAD).all()
        assert (padded - (height, width) < STRIDES[-1]).all()
        assert max(height, width) <= SIDE + 1


@pytest.mark.parametrize("size", [(500, 700), (161, 900), (1000, 330)], ids=str)
def test_the_tiles_of_a_large_image_cover_every_pixel(size, make_fcos):
    """At full size and in RGB: the colour of each pixel is its number, and all numbers arrive."""
    height, width = size
    number = np.arange(height * width).reshape(size)
    image = np.stack([number // 65536, number // 256 % 256, number % 256], axis=2).astype(np.uint8)
    fcos = make_fcos()
    fcos(image)
    tiles = fcos._session.seen[2:]  # after the whole and the coarse pass
    assert len(tiles) > 1
    seen = [pixels.astype(int) @ [65536, 256, 1] for pixels in tiles]
    seen = np.concatenate([numbers.ravel() for numbers in seen])
    assert set(range(height * width)) <= set(seen.tolist())


@pytest.mark.parametrize(("min_confidence", "count"), [(0.5, 3), (0.995, 0)])
def test_boxes_below_min_confidence_are_left_out(min_confidence, count, make_fcos):
    image, _, _ = draw_scene((160, 160), [20, 30, 60])
    assert len(make_fcos(min_confidence=min_confidence)(image)) == count


def paste_face(
    resolution_wh: tuple[int, int], face_width: int, corner: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth image with an example, whose face has this width, and the face's box."""
    file = "hopper_with_mask.jpg"
    photo = read_image(paths.EXAMPLES_DIR / file)
    box = ANNOTATED[file][BOX_COLUMNS].to_numpy(float)[0]
    scale = face_width / (box[2] - box[0])
    small = resize_image(photo, (round(photo.shape[1] * scale), round(photo.shape[0] * scale)))
    waves = np.sin(np.arange(resolution_wh[0]) / 300)[None, :, None] * 40 + 128
    image = np.broadcast_to(waves, (*resolution_wh[::-1], 3)).astype(np.uint8)
    x, y = corner
    image[y : y + small.shape[0], x : x + small.shape[1]] = small
    return image, box * scale + np.tile(corner, 2)


@pytest.mark.slow
@pytest.mark.parametrize("corner", [(3400, 2200), (500, 250), (0, 0)])
def test_a_face_of_16_pixels_is_found_in_an_image_of_4000(corner):
    image, box = paste_face((4000, 2600), 16, corner)
    found = FCOS()(image)
    assert box_iou([box], found.xyxy).max(initial=0) >= 0.5
    assert len(FCOS(passes=FAST_PASSES)(image)) == 0  # only the tiles show it


@pytest.mark.parametrize("side", [100, 640, 3000])
def test_a_face_that_fills_the_image_is_found(side):
    file = "hopper_with_mask.jpg"
    photo = read_image(paths.EXAMPLES_DIR / file)
    box = ANNOTATED[file][BOX_COLUMNS].to_numpy()[0]
    face = crop_image(photo, box.round())
    image = resize_image(face, (side, round(side * face.shape[0] / face.shape[1])))
    found = FCOS()(image)
    assert len(found) == 1
    assert box_iou([[0, 0, *image.shape[1::-1]]], found.xyxy).max() >= 0.5
