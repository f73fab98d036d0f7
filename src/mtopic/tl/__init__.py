"""Tools: models and what follows from them."""

from ._export_params import export_params
from ._mtm import MTM
from ._smtm import sMTM
from ._topic_model import topic_model
from ._zscores import zscores

__all__ = ["MTM", "export_params", "sMTM", "topic_model", "zscores"]
