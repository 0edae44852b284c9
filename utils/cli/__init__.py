"""What the script does with its arguments and files: outputs, reports, exit codes."""

from utils.cli.annotate import annotate_images, show_progress
from utils.cli.json_stream import JsonStream
from utils.cli.outputs import STDOUT, RecordError, check_targets, speak
from utils.cli.records import make_record, write_csv, write_json, write_table
from utils.cli.report import Report

__all__ = [
    "JsonStream",
    "RecordError",
    "Report",
    "STDOUT",
    "annotate_images",
    "check_targets",
    "make_record",
    "show_progress",
    "speak",
    "write_csv",
    "write_json",
    "write_table",
]
