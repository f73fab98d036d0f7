"""All that touches AnnData and MuData."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Protocol, TypeAlias

from anndata import AnnData
from mudata import MuData

if TYPE_CHECKING:
    from spatialdata import SpatialData
else:

    class SpatialData(Protocol):
        """Stands for spatialdata's, as importing that takes seconds."""

        tables: Mapping[str, AnnData]


Data: TypeAlias = AnnData | MuData
DataLike: TypeAlias = Data | SpatialData
"""What public functions take: a SpatialData stands for its one table."""
WithImages: TypeAlias = Annotated[DataLike, "with images"]
"""The same, where a SpatialData stands for its images, too."""
