"""Near-duplicates: copies are found, and unrelated images are not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.batch.conftest import take_all
from tests.small_data import NEAR_DUPLICATES, make_small_data
from utils.batch import Job
from utils.batch.shards import choose_shard_size
from utils.curate.near_duplicates import (
    MAX_DISTANCE_FULL,
    MAX_DISTANCE_TOP,
    difference_hash,
    find_near_duplicates,
    group_near_duplicates,
    hash_image,
    hash_images,
)
from utils.images import ImageError, limit_size, list_images, read_image, resize_image
from utils.paths import SHARED_DIR


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return make_small_data(tmp_path_factory.mktemp("small_data"))


@pytest.fixture(scope="module")
def files(small_data):
    return [path.relative_to(small_data).as_posix() for path in list_images(small_data)]


@pytest.fixture(scope="module")
def hashes(small_data, files):
    return hash_images([small_data / file for file in files])


def measure_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.bitwise_count(first[:, None] ^ second[None]).sum(axis=2, dtype=np.uint16)


def find_by_brute_force(
    hashes: np.ndarray, looseness: float = 1.0, block: int = 1024
) -> list[list[int]]:
    """Return the pairs by brute force."""
    pairs = []
    for start in range(0, len(hashes), block):
        a, b = hashes[start : start + block], hashes[start:]
        full = np.minimum(measure_distance(a[:, 0], b[:, 0]), measure_distance(a[:, 0], b[:, 1]))
        top = np.minimum(measure_distance(a[:, 2], b[:, 2]), measure_distance(a[:, 2], b[:, 3]))
        near = (full <= MAX_DISTANCE_FULL * looseness) | (top <= MAX_DISTANCE_TOP * looseness)
        pairs += (np.argwhere(np.triu(near, 1)) + start).tolist()
    return pairs


def test_no_images_give_no_pairs_and_no_groups():
    hashes = hash_images([])
    assert hashes.shape == (0, 4, 4)
    assert find_near_duplicates(hashes).columns.tolist() == ["first", "second"]
    assert group_near_duplicates(find_near_duplicates(hashes), 0).tolist() == []


def test_a_hash_has_a_bit_for_each_pixel_brighter_than_its_left_neighbour():
    grey = np.random.default_rng(0).integers(0, 256, (16, 17), np.uint8)
    bits = np.unpackbits(difference_hash(grey).view(np.uint8)).reshape(16, 16)
    assert all(bits[y, x] == (grey[y, x + 1] > grey[y, x]) for y in range(16) for x in range(16))


def test_an_image_of_one_pixel_has_a_hash():
    assert hash_image(np.zeros((1, 1, 3), np.uint8)).shape == (4, 4)


def re_encode(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR
    )


COPIES = {
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "re-encoded": re_encode,
    "smaller": lambda image: limit_size(image, 48),
    "larger": lambda image: resize_image(image, (image.shape[1] * 2, image.shape[0] * 2)),
    "darker": lambda image: (image * 0.7).astype(np.uint8),
    "mirrored and smaller": lambda image: limit_size(np.ascontiguousarray(image[:, ::-1]), 64),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
def test_copies_are_found_and_nothing_else(small_data, files, hashes, copy):
    related = {*NEAR_DUPLICATES, *NEAR_DUPLICATES.values()}
    strangers = [position for position, file in enumerate(files) if file not in related]
    copies = [hash_image(copy(read_image(small_data / files[position]))) for position in strangers]
    pairs = find_near_duplicates(np.concatenate([hashes[strangers], copies]))
    assert pairs.to_numpy().tolist() == [
        [number, number + len(strangers)] for number in range(len(strangers))
    ]


@pytest.mark.parametrize(("copy", "original"), NEAR_DUPLICATES.items())
def test_copies_share_a_group_even_if_a_mask_was_added(files, hashes, copy, original):
    group = group_near_duplicates(find_near_duplicates(hashes), len(files))
    assert group[files.index(copy)] == group[files.index(original)]
    members = {
        file
        for file, number in zip(files, group, strict=True)
        if number == group[files.index(original)]
    }
    assert members == {original} | {
        name for name, source in NEAR_DUPLICATES.items() if source == original
    }


def test_a_photograph_with_another_lower_half_is_found_by_its_upper_half(small_data, files):
    image = read_image(small_data / files[0])
    other = image.copy()
    half = len(image) // 2
    other[half:] = np.random.default_rng(0).integers(0, 256, other[half:].shape)
    for changed in (other, np.ascontiguousarray(other[:, ::-1])):
        pairs = find_near_duplicates(np.stack([hash_image(image), hash_image(changed)]))
        assert pairs.to_numpy().tolist() == [[0, 1]]
    upside_down = hash_image(np.ascontiguousarray(other[::-1]))
    assert find_near_duplicates(np.stack([hash_image(image), upside_down])).empty


@pytest.mark.parametrize("looseness", [0, 0.5, 1, 1.2, 2, 5])
def test_pairs_are_those_of_brute_force(hashes, looseness):
    found = find_near_duplicates(hashes, looseness)
    assert found.to_numpy().tolist() == find_by_brute_force(hashes, looseness)
    assert found.index.equals(pd.RangeIndex(len(found)))


@pytest.mark.shared("data")
def test_pairs_of_the_public_photographs_are_those_of_brute_force():
    """The split of the shipped models depends on these pairs."""
    hashes = hash_images(list_images(SHARED_DIR / "data"))
    for looseness in (1.0, 1.2):
        assert find_near_duplicates(hashes, looseness).to_numpy().tolist() == find_by_brute_force(
            hashes, looseness
        )


def test_hashes_are_in_the_order_of_the_files(small_data, files, hashes):
    for number in (0, len(files) // 2, len(files) - 1):
        np.testing.assert_array_equal(
            hashes[number], hash_image(read_image(small_data / files[number]))
        )


def test_a_file_that_cannot_be_read_is_named(small_data, files, tmp_path):
    (tmp_path / "text.jpg").write_text("no photograph")
    with pytest.raises(ImageError, match="text.jpg is not an image"):
        hash_images([small_data / files[0], tmp_path / "text.jpg", small_data / files[1]])


def test_more_looseness_only_adds_pairs(hashes):
    found = [
        set(find_near_duplicates(hashes, looseness).itertuples(index=False))
        for looseness in (0, 0.5, 1, 2, 3)
    ]
    assert all(fewer <= more for fewer, more in zip(found[:-1], found[1:], strict=True))
    assert len(found[0]) < len(found[2]) < len(found[-1])


def test_groups_join_images_that_a_chain_of_pairs_connects():
    rng = np.random.default_rng(1)
    for count in (1, 12, 40):
        links = np.triu(rng.random((count, count)) < 1.2 / count, 1)
        pairs = pd.DataFrame(np.argwhere(links), columns=["first", "second"])
        group = group_near_duplicates(pairs, count)
        steps = (links | links.T | np.eye(count, dtype=bool)).astype(float)
        reached = np.linalg.matrix_power(steps, count) > 0
        np.testing.assert_array_equal(group[:, None] == group[None], reached)


@dataclass(frozen=True)
class HashTask:
    """A task of a job that hashes photographs."""

    def __call__(self) -> Callable[[str], list[list[int]]]:
        return self.hash_file

    def hash_file(self, file: str) -> list[list[int]]:
        return hash_image(read_image(Path(file))).tolist()


def test_groups_cross_the_shards_of_a_job(small_data, files, hashes, tmp_path):
    items = [(str(small_data / file),) for file in files]
    answers = take_all(Job(HashTask(), items, tmp_path / "job", workers=1))
    of_shards = np.array([answers[number] for number in range(len(files))], dtype=np.uint64)
    np.testing.assert_array_equal(of_shards, hashes)
    group = group_near_duplicates(find_near_duplicates(of_shards), len(files))
    shard = np.arange(len(files)) // choose_shard_size(len(files))
    copies = [files.index(name) for name in NEAR_DUPLICATES]
    originals = [files.index(name) for name in NEAR_DUPLICATES.values()]
    assert (shard[copies] != shard[originals]).any()
    np.testing.assert_array_equal(group[copies], group[originals])
