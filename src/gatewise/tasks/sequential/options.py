"""Options of `Sequential`."""

from ..fields import DATA, option, options
from ..options import Columns, CommonOptions, TableOptions


@options
class SequentialOptions(CommonOptions, TableOptions):
    """Every option of `Sequential`: which columns of a table the model reads."""

    target: Columns = option(
        default=None, help='Column of what the model should answer, to evaluate it; "label" if omitted.', panel=DATA
    )
    columns: Columns = option(
        default=None,
        help="Comma-separated columns that the model reads, in its order; all others in the order of the table, if "
        "omitted.",
        panel=DATA,
    )
