"""The datasheet of a data set: ``write_datasheet`` writes it as Markdown, from the set's tables.

``inventory`` counts what the tables hold, ``gaps`` says what is missing, and ``markdown`` formats
both for the template ``datasheet.md.jinja``.
"""

from utils.curate.datasheet.write import write_datasheet

__all__ = ["write_datasheet"]
