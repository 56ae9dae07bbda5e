"""A report of a run that others can check: what was found, as a page of its own (HTML), for other
tools (JSON) and for a spreadsheet (CSV). Every figure is from the store or was measured for it.
"""

from .page import to_html
from .plain import VERSION, to_dict, to_json
from .records import RUN_FIELDS, to_csv
from .text import LONGEST, Text, note, summary, title
from .values import (
    MOST_OTHERS,
    SPLIT,
    Report,
    Row,
    checked,
    companions,
    make,
    put_together,
    report_name,
    wanted,
)

__all__ = [
    "LONGEST",
    "MOST_OTHERS",
    "RUN_FIELDS",
    "Report",
    "Row",
    "SPLIT",
    "Text",
    "VERSION",
    "checked",
    "companions",
    "make",
    "note",
    "put_together",
    "report_name",
    "summary",
    "title",
    "to_csv",
    "to_dict",
    "to_html",
    "to_json",
    "wanted",
]
