"""Faces: the detectors find the annotated faces of the example pictures, at any size of the picture."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.conftest import draw_blocks, find_blocks
from utils import paths
from utils.boxes import Detections, box_iou, clip_boxes
from utils.classes import CLASS_NAMES, MASK_CLASSES
from utils.detect import onnx_session as sessions
from utils.detect.face_detector import (
    CROWD,
    FCOS,
    MAX_FACES,
    MIN_HEIGHT_TO_WIDTH,
    TILE_ODDS,
    decode_faces,
)
from utils.detect.grid import PAD, grid_points
from utils.detect.pipeline import DETECTORS, load_detector
from utils.formats import read_voc_folder
from utils.images import crop_image, read_image, resize_image
from utils.labels import BOX_COLUMNS
from utils.train import assign_faces

ANNOTATED = dict(tuple(read_voc_folder(paths.EXAMPLES_DIR)[0].groupby("file")))
EXTREMES = [(1, 1), (3, 2), (1, 4000), (4000, 1), (60, 20_000)]  # height and width
STRIDES, SIDE = (4, 8, 16, 32), 160  # of the net in the place of the shipped one
METADATA = {"strides": json.dumps(STRIDES), "side": str(SIDE), "calibration": "[2.0, 1.0]"}


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request):
    try:
        return load_detector(request.param)
    except FileNotFoundError as error:
        pytest.skip(f"{error} It is in neither folder of models.")


@pytest.mark.parametrize("file", ANNOTATED)
def test_the_annotated_faces_are_found(detector, file):
    image, truth = read_image(paths.EXAMPLES_DIR / file), ANNOTATED[file][BOX_COLUMNS].to_numpy()
    found = detector(image)
    assert box_iou(truth, found.xyxy).max(axis=1, initial=0).min() >= 0.5
    np.testing.assert_array_equal(found.xyxy, clip_boxes(found.xyxy, image.shape[1::-1]))
    assert ((found.confidence >= 0.5) & (found.confidence <= 1)).all()
    if found.y_prob is not None:
        assert found.y_prob.shape == (len(found), len(CLASS_NAMES))
        np.testing.assert_allclose(found.y_prob.sum(axis=1), 1, atol=1e-5)


def test_the_shipped_detector_alone_judges_its_faces(detector):
    found = detector(read_image(paths.EXAMPLES_DIR / "hopper.jpg"))
    assert (found.y_prob is None) == (not isinstance(detector, FCOS))


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0])
def test_boxes_grow_with_the_image(detector, scale):
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    larger = resize_image(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
    count = len(ANNOTATED["three_classes.jpg"])
    (boxes, _), (scaled, doubtful) = (
        split_surest(detector(picture), count) for picture in (image, larger)
    )
    assert len(boxes) == len(scaled) == count
    assert box_iou(boxes, scaled / scale).max(axis=1).min() > 0.8
    assert (doubtful < 0.6).all()  # the shipped net half takes a badge for a face, at some sizes


def split_surest(found: Detections, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of so many faces, the surest, and the confidence of all others."""
    order = np.argsort(-found.confidence)
    return found.xyxy[order[:count]], found.confidence[order[count:]]


def test_a_higher_confidence_leaves_fewer_boxes(detector):
    image = read_image(paths.EXAMPLES_DIR / "three_classes.jpg")
    many, few = (type(detector)(min_confidence=value)(image) for value in (0.02, 0.6))
    assert len(many) > len(few) >= 1
    assert (few.confidence >= 0.6).all()


def test_a_detector_gets_the_colours_it_was_trained_on(detector):
    """The annotated faces are found with more confidence: summed log-odds, since all of them are near one."""

    def sum_odds(image, boxes):
        found = detector(image)
        hits = box_iou(boxes, found.xyxy) > 0.5
        sure = np.clip((hits * found.confidence).max(axis=1, initial=0), 1e-6, 1 - 1e-6)
        return np.log(sure / (1 - sure)).sum()

    right, wrong = 0.0, 0.0
    for file, rows in ANNOTATED.items():
        image, boxes = read_image(paths.EXAMPLES_DIR / file), rows[BOX_COLUMNS].to_numpy()
        right += sum_odds(image, boxes)
        wrong += sum_odds(np.ascontiguousarray(image[:, :, ::-1]), boxes)
    assert right > wrong


@pytest.mark.parametrize("size", EXTREMES, ids=str)
def test_an_image_of_any_shape_is_searched(detector, size):
    assert len(detector(np.full((*size, 3), 128, np.uint8))) == 0


def test_an_unknown_detector_is_refused():
    with pytest.raises(ValueError, match=r"no detector 'haar': use one of fcos, yunet, res10"):
        load_detector("haar")


def test_the_shipped_detector_is_the_one_without_a_name(tmp_path):
    path = write_net(tmp_path / "net.onnx")
    assert isinstance(load_detector(path=path), FCOS)
    assert load_detector(min_confidence=0.3, path=path).min_confidence == 0.3


def write_net(path, metadata=METADATA):
    """A net that answers with the picture that it was given."""
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "H", "W", 3])
        for name in ("pixels", "same")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["pixels"], ["same"])], "same", value[:1], value[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def test_what_the_file_says_is_read_from_it(tmp_path):
    path = write_net(tmp_path / "é.onnx")
    fcos = FCOS(path=path)
    assert (fcos.strides, fcos.side, fcos.calibration) == (STRIDES, SIDE, (2.0, 1.0))
    assert FCOS(path=path, side=96).side == 96


def test_a_missing_model_file_is_named_in_a_sentence(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"none\.onnx is missing: restore it with `git checkout` or train it",
    ):
        FCOS(path=tmp_path / "none.onnx")


@pytest.mark.parametrize(
    "content",
    [b"", b"no net", *METADATA],
    ids=["empty", "text", *(f"no {key}" for key in METADATA)],
)
def test_a_damaged_model_file_is_named_in_a_sentence(content, tmp_path, capfd):
    """Its bytes are no net, or one of its entries is not there."""
    path = tmp_path / "net.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_net(path, {key: value for key, value in METADATA.items() if key != content})
    with pytest.raises(ValueError, match=r"net\.onnx is damaged(:| or no face detector:) restore"):
        FCOS(path=path)
    assert capfd.readouterr() == ("", "")


class BlockNet:
    """In the place of an ONNX Runtime session: a perfect net, for which coloured blocks are faces of their class."""

    def __init__(self, *_, **__) -> None:
        self.seen, self.too_large = [], np.inf  # faces from this side on, in pixels, are doubtful

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
        output[chosen[box[:, 2] - box[:, 0] >= self.too_large], 3] = -1.2
        middle = ((box[:, :2] + box[:, 2:]) / 2).astype(int)
        output[chosen, :3] = (
            pixels[middle[:, 1], middle[:, 0]] / 25
        )  # red, green, blue: the three classes
        sides = np.concatenate([points[chosen] - box[:, :2], box[:, 2:] - points[chosen]], axis=1)
        output[chosen, 4:] = np.log(
            np.expm1(sides / stride_of[chosen, None])
        )  # what softplus undoes
        return [output[None]]


@pytest.fixture
def make_fcos(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions.ort, "InferenceSession", BlockNet)
    (tmp_path / "net.onnx").touch()
    return lambda **options: FCOS(path=tmp_path / "net.onnx", **options)


# Width and height of a picture, and the sides of its blocks, which stand apart.
SCENES = {
    "no face": ((160, 160), []),
    "as large as the net looks": ((160, 160), [20, 30, 60]),
    "sides that are no multiples of the stride": ((157, 83), [20, 30]),
    "enlarged": ((61, 47), [9, 16]),
    "a little larger": ((220, 200), [24, 40, 64]),
    "a face as large as the picture": ((600, 500), [440]),
    "huge, faces small and large": ((1280, 900), [14, 20, 33, 50, 90, 130, 260, 18, 27, 16]),
    "a panorama": ((1300, 60), [16, 20, 33, 40, 18, 25]),
    "a tower": ((50, 1100), [14, 20, 33, 18, 16]),
}


def draw_scene(resolution_wh, sides, seed=0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A picture with a block of each side, their boxes and their classes."""
    (width, height), rng, boxes = resolution_wh, np.random.default_rng(seed), []
    for side in sorted(sides, reverse=True):
        for _ in range(2000):
            x, y = (int(rng.integers(0, length - side + 1)) for length in (width, height))
            box = (x, y, x + side, y + side)
            if all(
                x > b[2] + 8 or y > b[3] + 8 or b[0] > box[2] + 8 or b[1] > box[3] + 8
                for b in boxes
            ):
                boxes.append(box)
                break
    assert len(boxes) == len(sides)
    names = [MASK_CLASSES[number % 3] for number in range(len(boxes))]
    image = draw_blocks(*zip(names, boxes, strict=True), resolution_wh=resolution_wh)
    return image, np.array(boxes, np.float32).reshape(-1, 4), names


@pytest.mark.parametrize(("resolution_wh", "sides"), SCENES.values(), ids=SCENES.keys())
@pytest.mark.parametrize("seed", range(4))
def test_with_a_perfect_net_each_face_is_found_once(seed, resolution_wh, sides, make_fcos):
    image, boxes, names = draw_scene(resolution_wh, sides, seed)
    found = make_fcos()(image)
    assert len(found) == len(boxes)
    if len(boxes):
        iou = box_iou(boxes, found.xyxy)
        assert sorted(iou.argmax(axis=1).tolist()) == list(range(len(boxes)))
        assert iou.max(axis=1).min() > 0.75
        assert [MASK_CLASSES[row.argmax()] for row in found.y_prob[iou.argmax(axis=1), :3]] == names
        logit = 2.0 * 2 + 1  # calibrated
        told = {round(1 / (1 + np.exp(-value)), 4) for value in (logit, logit + np.log(TILE_ODDS))}
        assert set(found.confidence.astype(float).round(4)) <= told
    assert found.y_prob.shape == (len(found), len(CLASS_NAMES))
    np.testing.assert_array_equal(found.xyxy, clip_boxes(found.xyxy, resolution_wh))


@pytest.mark.parametrize(
    ("sides", "looks"), [([], 2), ([20], 2), ([20, 20], 1), ([20, 24, 30], 1), ([20, 50], 2)]
)
def test_several_small_faces_need_no_look_for_one_that_fills_the_picture(sides, looks, make_fcos):
    image, boxes, _ = draw_scene((160, 160), sides)
    fcos = make_fcos()
    assert len(fcos(image)) == len(boxes)
    assert len(fcos._session.seen) == looks


def test_a_hint_of_a_large_face_among_small_ones_is_looked_at_again(make_fcos):
    image, boxes, _ = draw_scene((160, 160), [20, 24, 90])
    fcos = make_fcos()
    fcos._session.too_large = 60
    found = fcos(image)
    assert len(found) == len(boxes) == 3 and (found.confidence > 0.5).all()
    assert box_iou(boxes, found.xyxy).max(axis=1).min() > 0.75


def test_without_tiles_small_faces_of_a_large_picture_are_missed(make_fcos):
    image, boxes, _ = draw_scene((1280, 900), [14, 20, 130, 260])
    found = make_fcos(tiled=False)(image)
    assert 0 < len(found) < len(boxes)


@pytest.mark.parametrize(("count", "tiled"), [(CROWD - 1, True), (CROWD, True), (CROWD, False)])
def test_a_crowd_is_looked_at_once_more_and_enlarged(count, tiled, make_fcos):
    image, boxes, _ = draw_scene((160, 120), [10] * count)
    fcos = make_fcos(tiled=tiled)
    found = fcos(image)
    assert len(found) == len(boxes)
    assert box_iou(boxes, found.xyxy).max(axis=1).min() > 0.75
    enlarged = [pixels for pixels in fcos._session.seen if pixels.shape[1] > SIDE + STRIDES[-1]]
    assert len(enlarged) == (count >= CROWD and tiled)


@pytest.mark.parametrize("size", [*EXTREMES, (160, 160), (83, 157), (500, 700)], ids=str)
def test_the_net_gets_multiples_of_its_stride_grey_beside_the_picture(size, make_fcos):
    fcos = make_fcos()
    assert len(fcos(np.full((*size, 3), 200, np.uint8))) == 0
    for pixels in fcos._session.seen:
        assert pixels.dtype == np.float32
        assert not np.array(pixels.shape[:2]) % STRIDES[-1] @ [1, 1]
        inside = (pixels == 200).all(axis=2)
        height, width = inside.any(axis=1).sum(), inside.any(axis=0).sum()
        assert inside[:height, :width].all() and height * width == inside.sum() > 0
        assert (pixels[~inside] == PAD).all()
        assert (np.array(pixels.shape[:2]) - (height, width) < STRIDES[-1]).all()
        assert max(height, width) <= SIDE + 1


@pytest.mark.parametrize("size", [(500, 700), (161, 900), (1000, 330)], ids=str)
def test_the_tiles_of_a_large_picture_show_each_of_its_pixels(size, make_fcos):
    """At full size: each pixel's number is its colour, and all numbers arrive, in the order of the channels."""
    height, width = size
    number = np.arange(height * width).reshape(size)
    image = np.stack([number // 65536, number // 256 % 256, number % 256], axis=2).astype(np.uint8)
    fcos = make_fcos()
    fcos(image)
    seen = [pixels.astype(int) @ [65536, 256, 1] for pixels in fcos._session.seen[2:]]
    assert len(seen) > 1
    assert set(range(height * width)) <= set(
        np.concatenate([pixels.ravel() for pixels in seen]).tolist()
    )


@pytest.mark.parametrize("min_confidence", [0.5, 0.995])
def test_boxes_that_are_not_sure_enough_are_left_out(min_confidence, make_fcos):
    image, boxes, _ = draw_scene((160, 160), [20, 30, 60])
    assert len(make_fcos(min_confidence=min_confidence)(image)) == (
        len(boxes) if min_confidence < 0.99 else 0
    )


def draw_output(seed: int) -> np.ndarray:
    """Answers of a net that is never sure: (P, 8) for 64 x 64 pixels."""
    count = len(grid_points((64, 64), STRIDES)[0])
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.normal(0, 2, (count, 4)), rng.uniform(0.3, 4, (count, 4))], axis=1
    ).astype(np.float32)


@pytest.mark.parametrize("calibration", [(1.0, 0.0), (0.7, -1.0)], ids=str)
def test_answers_become_boxes_point_by_point(calibration):
    """With nothing suppressed, against the definition."""
    output = draw_output(0)
    found = decode_faces(output, (64, 64), STRIDES, 0.6, calibration, max_iou=1.0, vote_iou=1.0)
    expected = []
    for (x, y), stride, row in zip(
        *grid_points((64, 64), STRIDES), output.astype(float), strict=True
    ):
        confidence = 1 / (1 + np.exp(-(calibration[0] * row[3] + calibration[1])))
        if confidence >= 0.6:
            left, top, right, bottom = np.log1p(np.exp(row[4:])) * stride
            box = np.clip([x - left, y - top, x + right, y + bottom], 0, 64)
            odds = np.exp(row[:3])
            if box[3] - box[1] >= MIN_HEIGHT_TO_WIDTH * (
                box[2] - box[0]
            ):  # a face is never so flat
                expected.append([confidence, *box, *odds / odds.sum(), 0])
    assert len(expected) > 20
    expected = np.array(sorted(expected, reverse=True))
    table = np.column_stack([found.confidence, found.xyxy, found.y_prob])
    np.testing.assert_allclose(table, expected, atol=1e-4)


def test_decoded_boxes_do_not_cover_each_other():
    found = decode_faces(draw_output(1), (64, 64), STRIDES, 0.3, max_iou=0.45, vote_iou=1.0)
    assert len(found) > 5
    assert (np.triu(box_iou(found.xyxy, found.xyxy), 1) <= 0.45).all()
    assert (np.diff(found.confidence) <= 0).all()


def test_doubtful_boxes_that_may_not_vote_change_none_of_the_others():
    output, size = draw_output(1), (64, 64)
    sure, all_vote = (decode_faces(output, size, STRIDES, level) for level in (0.6, 0.1))
    found = decode_faces(output, size, STRIDES, 0.1, vote_confidence=0.6)
    kept, moved = found[found.confidence >= 0.6], all_vote[all_vote.confidence >= 0.6]
    assert len(found) > len(sure) > 5
    np.testing.assert_array_equal(kept.xyxy, sure.xyxy)
    assert not np.array_equal(kept.xyxy, moved.xyxy)


def test_of_a_thousand_doubtful_boxes_the_surest_are_kept():
    output = np.random.default_rng(0).normal(-8, 1, (64 * 64, 8)).astype(np.float32)
    output[:, 4:] = -3  # boxes too small to cover each other
    found = decode_faces(output, (512, 512), (8,), 0.0)
    surest = np.sort(1 / (1 + np.exp(-output[:, 3])))[::-1]
    np.testing.assert_allclose(found.confidence, surest[:MAX_FACES], rtol=1e-5)


def test_a_net_that_sees_nothing_finds_nothing():
    output = draw_output(2)
    output[:, 3] = -20
    found = decode_faces(output, (64, 64), STRIDES)
    assert len(found) == 0
    assert (found.xyxy.shape, found.y_prob.shape) == ((0, 4), (0, len(CLASS_NAMES)))


def lay_face(
    resolution_wh: tuple[int, int], face_width: int, corner: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of soft waves with an example, shrunk until its face has this width; and the face's box."""
    file = "hopper_with_mask.jpg"
    photo, box = (
        read_image(paths.EXAMPLES_DIR / file),
        ANNOTATED[file][BOX_COLUMNS].to_numpy(float)[0],
    )
    scale = face_width / (box[2] - box[0])
    small = resize_image(photo, (round(photo.shape[1] * scale), round(photo.shape[0] * scale)))
    waves = np.sin(np.arange(resolution_wh[0]) / 300)[None, :, None] * 40 + 128
    image = np.broadcast_to(waves, (*resolution_wh[::-1], 3)).astype(np.uint8)
    x, y = corner
    image[y : y + small.shape[0], x : x + small.shape[1]] = small
    return image, box * scale + np.tile(corner, 2)


@pytest.mark.parametrize("corner", [(3400, 2200), (500, 250), (0, 0)])
def test_a_face_of_sixteen_pixels_is_found_in_a_photograph_of_four_thousand(corner):
    image, box = lay_face((4000, 2600), 16, corner)
    found = load_detector("fcos")(image)
    assert box_iou([box], found.xyxy).max(initial=0) >= 0.5
    assert len(load_detector("fcos", tiled=False)(image)) == 0  # the tiles found it


def test_a_face_that_fills_the_image_is_found():
    file = "hopper_with_mask.jpg"
    photo, box = read_image(paths.EXAMPLES_DIR / file), ANNOTATED[file][BOX_COLUMNS].to_numpy()[0]
    face = crop_image(photo, box.round())
    for side in (100, 640, 3000):
        image = resize_image(face, (side, round(side * face.shape[0] / face.shape[1])))
        found = load_detector("fcos")(image)
        assert box_iou([[0, 0, *image.shape[1::-1]]], found.xyxy).max(initial=0) >= 0.5
        assert len(found) == 1
