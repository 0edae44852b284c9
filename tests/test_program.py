"""A program ends with one sentence after Ctrl-C and without memory, and runs without streams."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from utils.paths import EXAMPLES_DIR, ROOT
from utils.program import NO_HANDLES, NO_MEMORY, describe_shortage, require_packages

SCRIPT = ROOT / "03-detect_face_using_mask.py"
EXAMPLE = EXAMPLES_DIR / "three_classes.jpg"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals and limits")


def start(*arguments, **options):
    """Start Python as a terminal does, with Ctrl-C on."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=options.pop("cwd", ROOT),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


SHORTAGES = {
    "memory": (MemoryError(), NO_MEMORY),
    "memory, of the system": (OSError(errno.ENOMEM, "no"), NO_MEMORY),
    "memory, of C++": (RuntimeError("std::bad_alloc"), NO_MEMORY),
    "memory, of OpenCV": (Exception("(-4:Insufficient memory) Failed to allocate 9"), NO_MEMORY),
    "threads": (RuntimeError("can't start new thread"), NO_MEMORY),
    "a library": (ImportError("x.so: failed to map segment from shared object"), NO_MEMORY),
    "handles": (OSError(errno.EMFILE, "no"), NO_HANDLES),
    "handles, as text": (ImportError("x.so: Too many open files"), NO_HANDLES),
    "another error": (ValueError("wrong"), ""),
    "a missing file": (FileNotFoundError(errno.ENOENT, "no"), ""),
}


@pytest.mark.parametrize(("error", "sentence"), SHORTAGES.values(), ids=SHORTAGES.keys())
def test_shortages_are_recognised(error, sentence):
    assert describe_shortage(error) == sentence


def test_a_command_without_its_packages_ends_with_one_sentence(capsys):
    require_packages("sys", "numpy")
    with pytest.raises(SystemExit) as stopped:
        require_packages("numpy", "no_such_package")
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(
        "This command needs no_such_package: install it with "
    )


def test_a_shortage_that_caused_an_error_is_recognised():
    error = ValueError("The model cannot be read.")
    error.__cause__ = MemoryError()
    assert describe_shortage(error) == NO_MEMORY


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.3, 0.4])
def test_ctrl_c_while_the_script_loads_is_one_line(tmp_path, seconds):
    with start(SCRIPT, "--image", EXAMPLE, "--no-show", cwd=tmp_path) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    if "init_import_site" in err or ".pth" in err:  # Python itself had not begun: its own words
        return
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1
    if process.returncode == 0:
        assert "3 faces" in out
    else:  # a signal before Python has begun ends the process without a word
        assert process.returncode in (1, -signal.SIGINT)


def test_a_second_ctrl_c_does_not_cut_off_the_end():
    code = """
        import os, signal, time
        from utils.program import run_as_program

        def main():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)
                print("The tables are written.")
            return 1

        run_as_program(main)
    """
    with start("-c", textwrap.dedent(code)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (1, "The tables are written.\n", "")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [("MemoryError()", NO_MEMORY), ("OSError(24, 'Too many open files')", NO_HANDLES)],
)
@pytest.mark.parametrize("place", ["main", "import"])
def test_a_shortage_is_one_sentence(error, sentence, place):
    code = f"""
        from utils.program import begin_program, run_as_program

        def main():
            raise {error}

        begin_program()
        main() if {place!r} == "import" else run_as_program(main)
    """
    with start("-c", textwrap.dedent(code)) as process:
        out, err = process.communicate(timeout=60)
    assert (out, err) == ("", f"{sentence}\n")
    assert process.returncode == (1 if place == "import" else 2)


def test_another_error_keeps_its_traceback():
    code = "from utils.program import begin_program; begin_program(); raise ValueError('a bug')"
    with start("-c", code) as process:
        _, err = process.communicate(timeout=60)
    assert "Traceback" in err
    assert err.endswith("ValueError: a bug\n")


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["2>&-", ">&- 2>&-", "<&-", "2> /dev/full", "> /dev/full"])
def test_closed_or_full_streams_do_not_change_the_exit_code(tmp_path, redirect):
    line = f"'{sys.executable}' '{SCRIPT}' --image '{EXAMPLES_DIR}' --no-show {redirect}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "output" / "three_classes.jpg").stat().st_size > 10_000


def test_messages_do_not_enter_json_if_standard_error_is_closed(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no photograph")
    line = f"'{sys.executable}' '{SCRIPT}' --image bad.jpg '{EXAMPLE}' --no-show --json - 2>&-"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout.startswith(b'{"images": [')
    assert done.stdout.endswith(b"]}\n")


def test_too_little_address_space_is_told_before_a_library_crashes(tmp_path):
    line = f"ulimit -v 500000; '{sys.executable}' '{SCRIPT}' --image '{EXAMPLE}' --no-show"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("There is not enough memory: a limit leaves 488 MB")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "module", "target"),
    [
        ("utils.collect", "lxml", "data"),
        ("utils.collect", "pandas", "data"),
        ("utils.evaluate", "sklearn", "lab"),
        ("utils.formats", "yaml", "lab"),
        ("utils.formats", "pandas", "lab"),
        ("utils.detect", "pooch", "detectors"),
    ],
)
def test_a_command_in_the_core_installation_says_what_to_install(tmp_path, command, module, target):
    hide = f"""
        import sys

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name == {module!r}:
                    raise ModuleNotFoundError(name=name)

        sys.meta_path.insert(0, Hidden())
        import importlib.util
        find_spec = importlib.util.find_spec
        importlib.util.find_spec = lambda name: None if name == {module!r} else find_spec(name)
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(hide))
    done = subprocess.run(
        [sys.executable, "-m", command, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"This command needs {module}: install it with ")
    assert done.stderr.endswith(f"or `make {target}`.\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipe")
@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "in the middle"])
def test_a_reader_that_ends_early_gets_no_traceback(lines):
    """As ``head`` does."""
    code = (
        "from utils.program import run_as_program\n"
        f"def main():\n    for _ in range({lines}):\n        print('line')\n    return 0\n"
        "run_as_program(main)\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_other_broken_pipes_are_not_hidden():
    code = (
        "from utils.program import run_as_program\n"
        "def main():\n    raise BrokenPipeError('of another pipe')\n"
        "run_as_program(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True)
    assert done.returncode == 1 and "of another pipe" in done.stderr
