"""The command ``python -m utils.web``: build the page, or serve it on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from utils.program import require_packages, run_as_program

require_packages("onnx", "onnxscript", extra="web", target="page")

from utils.web import PAGE_DIR, WebError, build_page, serve_page  # noqa: E402
from utils.web.serve import PORT  # noqa: E402


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.web",
        description="Build the web page that finds faces and masks in the browser, or serve it on "
        "this machine.",
        epilog="Exit status: 0 done, 2 the page cannot be built or served.",
    )
    parser.add_argument("action", choices=("build", "serve"), help="what to do")
    parser.add_argument(
        "--folder", type=Path, default=PAGE_DIR, metavar="DIR", help="of the built page"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, help="to listen on, for serve (default: %(default)s)"
    )
    return parser


def run_web(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit status."""
    options = make_parser().parse_args(arguments)
    try:
        if options.action == "serve":
            serve_page(options.folder, options.port)
        else:
            folder = build_page(options.folder)
            print(f"The page is in {folder}. `make serve` shows it on this machine.")
    except (WebError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename} cannot be written ({error.strerror}).", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    run_as_program(run_web)
