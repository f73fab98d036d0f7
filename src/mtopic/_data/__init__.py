"""All that touches AnnData and MuData."""

from typing import TypeAlias

from anndata import AnnData
from mudata import MuData

Data: TypeAlias = AnnData | MuData
