"""The toolbox of the face-mask notebooks and of ``03-detect_face_using_mask.py``.

Conventions, stated once:

- An *image* is an (H, W, 3) uint8 RGB array; a *face* is a square crop of one.
- A *box* (``xyxy``) is (x_min, y_min, x_max, y_max) in pixels. Right and bottom edges are excluded, so
  width = x_max - x_min and a crop is ``image[y_min:y_max, x_min:x_max]``. ``resolution_wh`` is (width, height).
- ``class_id`` is a position in ``classes.CLASS_NAMES``; ``y_prob`` is (N, C), one column a class in that order.
- *Confidence* is the detector's score of a box, *probability* the classifier's of a class.
- Functions return new arrays and delete nothing. Paths are ``str | Path``. A *table* is a pandas DataFrame
  whose columns its docstring names.
- Imports point down: detect, monitor > faces, masks, draw, ... > boxes, images, labels, ...
"""
