"""The inference core: arrays in, arrays out."""

from .backend import Array, Backend, Double
from .batch_effects import BatchEffects
from .corpus import Corpus
from .fit import Fit, State
from .frequency_prior import by_frequency
from .guide import Guide
from .measured_sets import EVERYTHING, MeasuredSets
from .posterior import Posterior, initial
from .spatial import Correction, NeighbourPrior, SpatialTerm

__all__ = ["EVERYTHING", "Array", "Backend", "BatchEffects", "Corpus", "Correction", "Double", "Fit", "Guide"]
__all__ += ["MeasuredSets", "NeighbourPrior", "Posterior", "SpatialTerm", "State", "by_frequency", "initial"]
