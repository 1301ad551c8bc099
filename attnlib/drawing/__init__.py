"""The book's drawings: each a function that returns a `Canvas`, which shows itself in a cell."""

from attnlib.drawing.canvas import Canvas
from attnlib.drawing.captioner import (
    before_and_after,
    captioner,
    field_of_view,
    four_cells,
    frozen_eye,
    marking_rule,
    ways_in,
)
from attnlib.drawing.choices import average_or_choice, either, nudges, where_to_average
from attnlib.drawing.course import dependencies
from attnlib.drawing.decoders import (
    dial_grid,
    feedings,
    one_recurrence,
    parted_states,
    score_pictures,
    steps_moved,
    two_orders,
)
from attnlib.drawing.elsewhere import arcs, hops, pointers
from attnlib.drawing.encoder_decoder import (
    encoder_steps,
    gradient_paths,
    gru,
    halving,
    lstm,
    one_arrow,
    same_vector,
    teacher_forcing,
    unrolled,
)
from attnlib.drawing.explanations import instruments
from attnlib.drawing.lookup import dictionary, gradients, patterns, projections, sheet, triangle
from attnlib.drawing.matrices import matrices
from attnlib.drawing.seeing import patches, views
from attnlib.drawing.self_attention import (
    clocks,
    growing_cache,
    heads,
    looks,
    query_key_value,
    rotary,
    two_ways,
    who_sees_whom,
)
from attnlib.drawing.transformer import masked_training, norms, transformer_model
from attnlib.drawing.translation import (
    asking,
    beam,
    links,
    padded_batch,
    shares,
    six_steps,
    two_readers,
)
from attnlib.drawing.windows import four_windows, pulls, stops

__all__ = [
    "Canvas",
    "arcs",
    "asking",
    "average_or_choice",
    "beam",
    "before_and_after",
    "captioner",
    "clocks",
    "dependencies",
    "dial_grid",
    "dictionary",
    "either",
    "encoder_steps",
    "feedings",
    "field_of_view",
    "four_cells",
    "four_windows",
    "frozen_eye",
    "gradient_paths",
    "gradients",
    "growing_cache",
    "gru",
    "halving",
    "heads",
    "hops",
    "instruments",
    "links",
    "looks",
    "lstm",
    "marking_rule",
    "masked_training",
    "matrices",
    "norms",
    "nudges",
    "one_arrow",
    "one_recurrence",
    "padded_batch",
    "parted_states",
    "patches",
    "patterns",
    "pointers",
    "projections",
    "pulls",
    "query_key_value",
    "rotary",
    "same_vector",
    "score_pictures",
    "shares",
    "sheet",
    "six_steps",
    "steps_moved",
    "stops",
    "teacher_forcing",
    "transformer_model",
    "triangle",
    "two_orders",
    "two_readers",
    "two_ways",
    "unrolled",
    "views",
    "ways_in",
    "where_to_average",
    "who_sees_whom",
]
