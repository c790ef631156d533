from evenface.digest import code_digest
from evenface.experiment.compare import Comparison, Evidence, Question, compare_files
from evenface.listing import lines as list_settings
from evenface.options import CompareOptions
from evenface.page.report import make_page
from evenface.runner import run
from evenface.settings import Settings, read_config
from evenface.settings import read as read_settings

__all__ = [
    "CompareOptions",
    "Comparison",
    "Evidence",
    "Question",
    "Settings",
    "code_digest",
    "compare_files",
    "list_settings",
    "make_page",
    "read_config",
    "read_settings",
    "run",
]
