"""The package: fast to import, and every public name can be imported from it."""

import subprocess
import sys

import pytest

from utils import train

HEAVY = ("keras", "tensorflow", "onnx", "tf2onnx")


def test_importing_the_package_loads_no_training_library():
    program = f"import sys, utils.train; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


@pytest.mark.training
def test_tensorflow_logs_nothing_as_it_starts():
    program = "from utils import train; train.build_classifier(32, weights=None)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("name", train.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(train, name) is not None
    assert name in dir(train)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'build_nothing'"):
        _ = train.build_nothing
