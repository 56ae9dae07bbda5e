"""A report of a run that others can check: what was found, as a page of its own (HTML), for other
tools (JSON) and for a spreadsheet (CSV). Every figure is from the store or was measured for it.
"""

from .page import to_html
from .plain import VERSION, to_dict, to_json
from .records import RUN_FIELDS, to_csv
from .text import Text, summary
from .values import MOST_OTHERS, SPLIT, Report, Row, make, report_name, wanted

__all__ = [
    "MOST_OTHERS",
    "RUN_FIELDS",
    "Report",
    "Row",
    "SPLIT",
    "Text",
    "VERSION",
    "make",
    "report_name",
    "summary",
    "to_csv",
    "to_dict",
    "to_html",
    "to_json",
    "wanted",
]
