"""Alerts: a real command runs once for each person without a proper mask."""

import shlex
import sys
import time

import pytest

from tests.video.test_counts import BADLY, WITH, WITHOUT, make_faces
from utils.video.alerts import STABLE_S, Alerts


@pytest.fixture
def command(tmp_path):
    """A command that appends the class to a file with the number of the track as its name."""
    code = (
        "import sys, pathlib;"
        "pathlib.Path(sys.argv[1], sys.argv[3]).open('a').write(sys.argv[2] + ' ')"
    )
    return f'"{sys.executable}" -c {shlex.quote(code)} "{tmp_path}" {{class}} {{track}}'


def wait_for(alerts: Alerts) -> None:
    deadline = time.monotonic() + 60
    while (
        any(process.poll() is None for process in alerts._running) and time.monotonic() < deadline
    ):
        time.sleep(0.01)


def test_one_alert_per_person_and_none_for_a_mask(tmp_path, command):
    alerts = Alerts(command)
    for frame in range(100):
        alerts.update(
            make_faces((1, WITH), (2, WITHOUT), (3, BADLY if frame > 30 else WITH)), frame / 25
        )
    wait_for(alerts)
    assert alerts.count == 2
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"2": "without_mask ", "3": "mask_worn_incorrectly "}


def test_output_of_the_command_does_not_go_to_standard_output(capfd):
    alerts = Alerts("echo said {class}")
    for frame in range(40):
        alerts.update(make_faces((1, WITHOUT)), frame / 25)
    wait_for(alerts)
    out, err = capfd.readouterr()
    assert (alerts.count, out) == (1, "")


def test_label_that_does_not_last_raises_no_alert(command):
    alerts = Alerts(command)
    for frame in range(100):
        shown = WITHOUT if frame % 50 < STABLE_S * 25 - 1 else WITH
        alerts.update(make_faces((1, shown)), frame / 25)
    alerts.update(make_faces(), 5.0)
    assert alerts.count == 0


def test_command_runs_without_a_shell(tmp_path):
    alerts = Alerts(f"echo {{class}}; touch {tmp_path / 'touched'}")
    for frame in range(50):
        alerts.update(make_faces((1, WITHOUT)), frame / 25)
    wait_for(alerts)
    assert (alerts.count, list(tmp_path.iterdir())) == (1, [])


@pytest.mark.parametrize(
    ("command", "sentence"), [("", "empty: name a command"), ("echo 'x", "close its quotation")]
)
def test_invalid_command_is_an_error(command, sentence):
    with pytest.raises(ValueError, match=sentence):
        Alerts(command)


def test_missing_command_is_reported_and_does_not_stop_the_video():
    messages = []
    alerts = Alerts("no-such-program {class}", messages.append)
    for frame in range(50):
        alerts.update(make_faces((1, WITHOUT), (2, WITHOUT)), frame / 25)
    message = "The alert no-such-program cannot be run (No such file or directory)"
    assert messages == [f"{message}: check the command."] * 2


def test_an_unknown_field_is_one_sentence():
    with pytest.raises(ValueError, match=r"unknown field \{klass\}: use \{class\} and \{track\}"):
        Alerts('notify-send "{klass}"')
