"""JSON Schema as tools declare it, reduced to what the grammar engine enforces exactly."""

from model.schema.keywords import ANNOTATIONS, ENFORCED, REFUSED
from model.schema.normalise import Examination, examine, normalise
from model.schema.patterns import FORMATS, UNENFORCED_FORMATS

__all__ = [
    "ANNOTATIONS",
    "ENFORCED",
    "FORMATS",
    "REFUSED",
    "UNENFORCED_FORMATS",
    "Examination",
    "examine",
    "normalise",
]
