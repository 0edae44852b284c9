"""Train both models for some steps on some devices, and print the losses as JSON.

``python -m tests.train.one_loss_curve DEVICES FOLDER``. A process can have one strategy alone, and
the number of its logical devices is fixed when TensorFlow starts.
"""

import json
import sys
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from utils.classes import CLASS_NAMES
from utils.detect import grid_points, to_input
from utils.images import list_images, read_image
from utils.paths import MODEL_DIR, SAMPLE_DIR
from utils.train.classifier import build_classifier, fine_tune
from utils.train.detector import build_detector, train_detector
from utils.train.devices import choose_strategy, copy_to_one_device

SIDE = 64
BATCH = 8
STRIDES = (4, 8, 16)  # of the shipped detector


def read_faces():
    """Return the drawn faces that ship, (N, S, S, 3) float32."""
    paths = [path for path in list_images(SAMPLE_DIR / "faces") if path.stem != "cut_off"]
    return to_input([read_image(path) for path in paths], SIDE)


def draw_batches(faces, draw_target, first_step, steps):
    """Return batches of faces, each example from its number alone."""
    images = []
    targets = []
    for number in range(first_step * BATCH, (first_step + steps) * BATCH):
        rng = np.random.default_rng(number)
        images.append(faces[rng.integers(len(faces))])
        targets.append(draw_target(rng))
    return tf.data.Dataset.from_tensor_slices((np.array(images), np.array(targets))).batch(BATCH)


def draw_class(rng):
    return np.eye(len(CLASS_NAMES), dtype=np.float32)[rng.integers(len(CLASS_NAMES))]


def draw_points(rng):
    """Return targets in which the views differ much in their number of face points."""
    points = len(grid_points((SIDE, SIDE), STRIDES)[0])
    is_face = rng.random(points) < rng.choice([0, 0.5])
    target = np.zeros((points, 9), np.float32)
    target[is_face, rng.integers(0, 3, is_face.sum())] = 1
    target[:, 3] = is_face
    target[:, 4:8] = rng.uniform(0.5, 2, (points, 4))
    target[:, 8] = 1
    return target


def main(devices, folder):
    """Train on logical CPU devices, and print the losses of both models."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.utils.set_random_seed(0)
    strategy = choose_strategy(devices)
    shipped = keras.models.load_model(MODEL_DIR / "face_detector.keras", compile=False)
    faces = read_faces()
    validation = draw_batches(faces, draw_class, 1000, 2)
    images = np.concatenate([batch for batch, _ in validation])
    one_hot = np.concatenate([batch for _, batch in validation])
    with strategy.scope():
        # Dropout draws other numbers on each device.
        model = build_classifier(SIDE, MODEL_DIR / "mask_classifier.keras", dropout=1e-9, seed=0)
        make_steps = partial(draw_batches, faces, draw_class)
        options = {"epochs": 2, "steps_per_epoch": 2}
        model, of_classifier = fine_tune(
            model, make_steps, (images, one_hot), f"{folder}/classifier", **options
        )
        keras.utils.set_random_seed(0)
        detector = build_detector(STRIDES, weights=None, synchronized=devices > 1)
        detector.set_weights(shipped.get_weights())
        make_steps = partial(draw_batches, faces, draw_points)
        _, of_detector = train_detector(
            detector, make_steps, make_steps(1000, 1), f"{folder}/detector", eager=True, **options
        )
    answer = copy_to_one_device(model).predict(images, verbose=0)
    columns = ["loss", "val_loss"]
    losses = {
        "devices": strategy.num_replicas_in_sync,
        "classifier": of_classifier[columns].to_numpy().tolist(),
        "detector": of_detector[columns].to_numpy().tolist(),
        "answer": answer.tolist(),
    }
    print(json.dumps(losses))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
