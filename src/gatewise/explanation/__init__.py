"""Why a model answers as it does, how far that can be relied on, and what its network does meanwhile: every gate of
every step, its memory, and what its parts are for. `gatewise.explain` is what users call for the former:

    report = gatewise.explain("model.gatewise", "rows.csv", row=3)
"""

from .decomposition import Decomposition, decompose, interaction
from .effects import Effect, gate_effects
from .explaining import explain
from .features import number_features, tag_features, text_features
from .grids import GridTrace, trace_grids
from .memory import Ledger, Memory, Rewriting, ages, half_lives, keep_and_write, ledger, life_lines, memories, rewriting
from .relevance import Relevance, linear_relevance, relevance
from .traces import Held, Trace, trace, trace_layer
from .units import NamedUnit, Proposal, Silenced, name_units, propose

__all__ = [
    "Decomposition",
    "Effect",
    "GridTrace",
    "Held",
    "Ledger",
    "Memory",
    "NamedUnit",
    "Proposal",
    "Relevance",
    "Rewriting",
    "Silenced",
    "Trace",
    "ages",
    "decompose",
    "explain",
    "gate_effects",
    "half_lives",
    "interaction",
    "keep_and_write",
    "ledger",
    "life_lines",
    "linear_relevance",
    "memories",
    "name_units",
    "number_features",
    "propose",
    "relevance",
    "rewriting",
    "tag_features",
    "text_features",
    "trace",
    "trace_grids",
    "trace_layer",
]
