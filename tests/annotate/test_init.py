"""The package's public names, which are loaded on first use."""

import subprocess
import sys

import pytest

from utils import annotate
from utils.paths import ROOT


def test_all_public_names_can_be_loaded():
    for name in annotate.__all__:
        assert getattr(annotate, name) is not None
    with pytest.raises(AttributeError, match=r"utils\.annotate.*missing"):
        _ = annotate.missing


def test_labelimg_app_does_not_load_opencv():
    """OpenCV's Qt conflicts with labelImg's."""
    program = "import sys, utils.annotate.labelimg_app; sys.exit('cv2' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT)
    assert result.returncode == 0
