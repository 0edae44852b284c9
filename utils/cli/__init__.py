"""What the script does with its arguments and files.

``run_script`` takes the arguments: it checks the outputs, loads the models, processes the images
(``process_images``) or the video (``process_video``), writes JSON and CSV, and returns the exit
code. ``Report`` collects what happened.
"""

from utils.cli.images import process_images
from utils.cli.outputs import STDOUT, OutputError, check_outputs, open_output
from utils.cli.records import (
    OUTPUT_FORMATS,
    JsonStream,
    make_record,
    write_csv,
    write_json,
    write_table,
)
from utils.cli.report import Report
from utils.cli.run import run_script
from utils.cli.video import process_video

__all__ = [
    "JsonStream",
    "OUTPUT_FORMATS",
    "OutputError",
    "Report",
    "STDOUT",
    "check_outputs",
    "make_record",
    "open_output",
    "process_images",
    "process_video",
    "run_script",
    "write_csv",
    "write_json",
    "write_table",
]
