"""Numbers as tables write them: with a decimal comma, with thousands, with a currency or per cent sign.

"1,234" may be a number and a bit or more than a thousand. What other columns of the file say decides, then its
separator (where ; stands between cells, the comma is decimal), else the user has to say. "1.234" is more than a
thousand where the comma is decimal: where another column says so or, between semicolons, smaller numbers have no dot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .schema import PLAIN, Spelling
from .session import literal

_SYMBOL = r"[€$£¥₹₽₩₺₫฿¢%‰元円원]|EUR|USD|GBP|CHF|JPY|CNY|RMB|INR|KRW|SEK|NOK|DKK|PLN|CZK|BRL"
_AROUND = re.compile(rf"^([-+]?)(?:({_SYMBOL})\s*)?([-+]?[^\s].*?)(?:\s*({_SYMBOL}))?$")
# Every spelling but the plain one.
_FORMS = (
    Spelling(",", ""),
    Spelling(".", ","),
    Spelling(",", "."),
    Spelling(",", " "),
    Spelling(".", " "),
    Spelling(".", "'"),
    Spelling(",", "'"),
)
# Minus signs, spaces and apostrophes of typography, and those of a keyboard.
_TYPOGRAPHY, _KEYBOARD = "−\u00a0\u202f\u2009’", "-   '"


def _tidy(text: str) -> str:
    """A number in the signs of a keyboard; (12), as accountants write it, is -12."""
    text = text.translate(str.maketrans(_TYPOGRAPHY, _KEYBOARD)).strip()
    return re.sub(r"^\((.*)\)$", r"-\1", text)


def _tidy_sql(x: str) -> str:
    text = f"trim(translate({x}, {literal(_TYPOGRAPHY)}, {literal(_KEYBOARD)}))"
    return f"regexp_replace({text}, '^\\((.*)\\)$', '-\\1')"


def plain_sql(x: str) -> str:
    """A number in the plain spelling, or NULL. Underscores belong to codes, though DuckDB reads over them."""
    typographic = f"try_cast(replace({x}, '−', '-') AS DOUBLE)"
    return f"(CASE WHEN NOT contains({x}, '_') THEN coalesce(try_cast({x} AS DOUBLE), {typographic}) END)"


def number_sql(x: str, spelling: Spelling) -> str:
    """A number in this spelling, or NULL."""
    if spelling == PLAIN:
        return plain_sql(x)
    text = _tidy_sql(x)
    if spelling.symbol:
        symbol = re.escape(spelling.symbol)
        around = rf"^([-+]?){symbol}\s*|\s*{symbol}$"
        bare = f"regexp_replace({text}, {literal(around)}, '\\1')"
        text = f"(CASE WHEN contains({text}, {literal(spelling.symbol)}) THEN {bare} END)"
    digits = f"replace({text}, {literal(spelling.thousands)}, '')" if spelling.thousands else text
    number = f"try_cast(replace({digits}, {literal(spelling.decimal)}, '.') AS DOUBLE)"
    return f"(CASE WHEN regexp_full_match({text}, {literal(_pattern(spelling))}) THEN {number} END)"


def any_number_sql(x: str) -> str:
    """Whether a text is a number in any spelling, whatever that of the others."""
    forms = "|".join(_pattern(form) for form in (PLAIN, *_FORMS))
    pattern = f"[-+]?(?:(?:{_SYMBOL}) ?)?(?:{forms})(?: ?(?:{_SYMBOL}))?"
    return f"regexp_full_match({_tidy_sql(x)}, {literal(pattern)})"


def grouped_sql(x: str) -> str:
    """Whether a plain number may as well be thousands with dots between: 1.234, but not 0.123."""
    return f"regexp_full_match(trim({x}), '[-+]?[1-9]\\d{{0,2}}(\\.\\d{{3}})+')"


def _pattern(spelling: Spelling) -> str:
    whole = r"\d+"
    if spelling.thousands:
        whole = rf"(?:\d{{1,3}}(?:{re.escape(spelling.thousands)}\d{{3}})+|\d+)"
    return rf"[-+]?{whole}(?:{re.escape(spelling.decimal)}\d+)?(?:[eE][-+]?\d+)?"


def spellings(values: Sequence[str]) -> list[Spelling]:
    """The spellings in which most of these values, which are not plain numbers, are numbers; all that fit as well."""
    cut = [found.groups() for value in values if (found := _AROUND.match(_tidy(value)))]
    signs = [before or after or "" for _, before, _, after in cut]
    symbol = max(sorted(set(signs)), key=signs.count, default="")
    bare = [minus + number for minus, _, number, _ in cut]
    counts = {form: _count(bare, form) for form in (PLAIN, *_FORMS) if symbol or form != PLAIN}
    best = max(counts.values())
    fits = [form for form, count in counts.items() if count == best] if 2 * best > len(values) else []
    return [Spelling(form.decimal, form.thousands, symbol) for form in fits]


def _count(values: Sequence[str], spelling: Spelling) -> int:
    fits = re.compile(_pattern(spelling)).fullmatch
    return sum(1 for value in values if fits(value))


def decimal_of(candidates: Iterable[Sequence[Spelling]]) -> str | None:
    """The decimal sign of a file whose columns could be spelled like this; None if no column tells."""
    votes = [signs.pop() for forms in candidates if len(signs := {form.decimal for form in forms}) == 1]
    return max(sorted(set(votes)), key=votes.count, default=None)
