"""The toolbox of the face-mask notebooks and of ``03-detect_face_using_mask.py``.

Conventions:

- An *image* is an (H, W, 3) uint8 RGB array. A *face* is a square crop of an image.
- A *box* (``xyxy``) is (x_min, y_min, x_max, y_max) in pixels. The right and bottom edges are
  excluded: width = x_max - x_min, and a crop is ``image[y_min:y_max, x_min:x_max]``.
- ``resolution_wh`` is (width, height) in pixels.
- ``CLASS_NAMES = ("with_mask", "without_mask", "mask_worn_incorrectly", "no_face")`` is the order
  of classes everywhere. A *class id* is a position in it.
- *Detections* are boxes, each with a ``confidence`` and, once classified, its ``y_prob``.
- *Confidence* is the detector's score of a box. *Probability* is the classifier's, of a class.
- ``y_true`` and ``y_pred`` are (N,) class ids; ``y_prob`` is (N, C), one column for each class.
- The splits are ``train``, ``val`` and ``test``.
- Functions return new arrays and leave their arguments as they are. Paths are ``str | Path``.
- A *table* is a pandas DataFrame whose columns the docstring names.
- Scaling of pixel values is inside the models: all models take uint8 RGB.
- Training and detection cut faces with the same function, ``utils.detect.crop_faces``.

Imports point down: the root modules, ``batch``, ``images``, ``formats`` and ``plots`` < ``detect``
< ``evaluate`` < ``collect`` < ``annotate`` < ``curate`` < ``train``. ``video`` needs ``detect``
alone, and ``cli`` is on top. Only ``train`` imports TensorFlow. ``detect``, ``video`` and ``cli``
do not import pandas.
"""

import os

__version__ = "0.1.0"

# A file of a few kilobytes may claim any size. OpenCV reads this limit when it is loaded. Its own
# is 2^30, which is 3 GB as RGB, and stays for a program that imports OpenCV first.
MAX_PIXELS = 2**28  # of an image: more than cameras make, and 800 MB as RGB
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
