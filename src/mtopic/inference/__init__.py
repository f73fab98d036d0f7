"""The inference core: arrays in, arrays out."""

from .backend import Array, Backend, Double
from .corpus import Corpus
from .fit import Fit, State
from .frequency_prior import by_frequency
from .measured_sets import EVERYTHING, MeasuredSets
from .posterior import Posterior, initial
from .spatial import Correction, NeighbourPrior, SpatialTerm

__all__ = ["EVERYTHING", "Array", "Backend", "Corpus", "Correction", "Double", "Fit", "MeasuredSets", "NeighbourPrior"]
__all__ += ["Posterior", "SpatialTerm", "State", "by_frequency", "initial"]
