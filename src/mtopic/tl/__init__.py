"""Tools: models and what follows from them."""

from ._borders import borders
from ._compare_topics import compare_topics
from ._denoise import denoise
from ._distance_mask import distance_mask
from ._dominant_topics import dominant_topics
from ._enrichment import enrichment
from ._export_params import export_params
from ._feature_associations import feature_associations
from ._load_model import load_model
from ._modality_agreement import modality_agreement
from ._motif_enrichment import motif_enrichment
from ._mtm import MTM
from ._perplexity import perplexity
from ._rename_topics import rename_topics
from ._select_n_topics import select_n_topics
from ._signature_uncertainty import signature_uncertainty
from ._smtm import sMTM
from ._spatial_domains import spatial_domains
from ._topic_autocorr import topic_autocorr
from ._topic_model import topic_model
from ._topic_neighborhoods import topic_neighborhoods
from ._topic_quality import topic_quality
from ._transform import transform
from ._umap import umap
from ._uncertainty import uncertainty
from ._zscores import zscores

__all__ = [
    "MTM",
    "borders",
    "compare_topics",
    "denoise",
    "distance_mask",
    "dominant_topics",
    "enrichment",
    "export_params",
    "feature_associations",
    "load_model",
    "modality_agreement",
    "motif_enrichment",
    "perplexity",
    "rename_topics",
    "sMTM",
    "select_n_topics",
    "signature_uncertainty",
    "spatial_domains",
    "topic_autocorr",
    "topic_model",
    "topic_neighborhoods",
    "topic_quality",
    "transform",
    "umap",
    "uncertainty",
    "zscores",
]
