"""An ONNX file with the call of ``detect.LiteRTModel``, to compare the two on the same pictures."""

import json

import numpy as np

from utils.detect import open_session


class OnnxModel:
    """A shipped ONNX file. Its settings are parsed as those of a LiteRT file are."""

    def __init__(self, path):
        """Open the file."""
        self._session, metadata = open_session(path)
        self.settings = {}
        for name, text in metadata.items():
            try:
                self.settings[name] = json.loads(text)
            except ValueError:
                self.settings[name] = text
        self.side = int(self.settings.get("side", self.settings.get("input_size", 0)))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Return the output for pictures."""
        return self._session.run(None, {"pixels": pixels})[0]
