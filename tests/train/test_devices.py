"""Training on two devices: the same losses as on one."""

import json
import subprocess
import sys

import numpy as np
import pytest

from utils.messages import UserError
from utils.paths import ROOT
from utils.train.__main__ import main
from utils.train.devices import check_batch, choose_strategy

pytestmark = pytest.mark.training


def train_on(devices, folder):
    """Return the losses of a training on logical CPU devices, in a process of its own."""
    command = [sys.executable, "-m", "tests.train.one_loss_curve", str(devices), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_give_the_losses_of_one(tmp_path):
    one = train_on(1, tmp_path / "one")
    two = train_on(2, tmp_path / "two")
    assert (one["devices"], two["devices"]) == (1, 2)
    for network in ("classifier", "detector"):
        assert np.ptp(one[network]) > 0.01  # it has learned something
        np.testing.assert_allclose(two[network], one[network], rtol=1e-3)
    np.testing.assert_allclose(two["answer"], one["answer"], atol=1e-2)


def test_more_devices_than_there_are():
    with pytest.raises(UserError, match="--devices 64 needs 64 GPUs"):
        choose_strategy(64)


def test_a_batch_is_divided_evenly():
    check_batch(8, 2)
    with pytest.raises(UserError, match="a multiple of 3"):
        check_batch(8, 3)


WRONG = {"zero": "0", "a word": "two"}


@pytest.mark.parametrize("devices", WRONG.values(), ids=WRONG)
def test_a_wrong_number_is_named(devices, capsys):
    with pytest.raises(SystemExit) as error:
        main(["--dataset", "nowhere", "--devices", devices])
    assert error.value.code == 2
    assert "is not a whole number above 0" in capsys.readouterr().err
