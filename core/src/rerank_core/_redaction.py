"""How secrets are taken out of a text, however they are written there."""

from __future__ import annotations

import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from urllib.parse import unquote_to_bytes

from rerank_core._messages import CUT, shorten

_HIDDEN = b"[redacted]"
_CUT = CUT.encode()
# As in URLs and JSON, encoded once or more often, and as in HTML. Each begins with one character,
# so that a text without any is searched fast.
_ESCAPE = re.compile(
    rb"%(?:25)*[0-9A-Fa-f]{2}(?:%(?:25)*[0-9A-Fa-f]{2})*"
    rb"|\\\\*(?:u[0-9A-Fa-f]{4}(?:\\+u[0-9A-Fa-f]{4})*)?"
    rb"|&(?:#[0-9]{1,9}|#[Xx][0-9A-Fa-f]{1,9}|[A-Za-z]{2,6});"
)
_ESCAPED_WORD = re.compile(rb"%(?:25)*[3-7][0-9a-f]|&#|\\u00[3-7]")
_HALF_ESCAPE = re.compile(rb"(?:%(?:25)*[0-9A-Fa-f]?|\\+u?[0-9A-Fa-f]{0,3}|&[#0-9A-Za-z]{0,9})$")
_LONGEST_ESCAPE = 12
_MAX_CHARS = 1_000_000
_MIN_HIDDEN = 6  # what is shorter stands in too many harmless words


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets: in either case, encoded in a usual way, or cut short."""
    return hider(secrets)(text)


def hider(secrets: Iterable[str]) -> Callable[[str], str]:
    """`hide` for several texts; it keeps the secrets for as long as it lives itself.

    It cuts a text after a million characters: to look for every way of writing takes time.
    """
    wanted = {secret for secret in secrets if len(secret) >= _MIN_HIDDEN}
    both = chain.from_iterable(map(_forms, wanted))
    signs = {form: sign for form, sign in both if len(form) >= _MIN_HIDDEN}
    longest = max(map(len, signs), default=0)

    def redact(text: str) -> str:
        text = shorten(text, _MAX_CHARS)
        # As bytes: there, the lower case of a letter is as long as the letter.
        raw = text.encode(errors="surrogatepass")
        low = raw.lower()
        # Where letters and digits are escaped as well, a secret need not leave any of its own.
        escaped = _ESCAPED_WORD.search(low)
        likely = [form for form, sign in signs.items() if escaped or sign in low]
        found = {*_places(raw, likely)} if likely else set()
        if _CUT in raw:
            found.update(_cut_places(raw, signs, longest))
        if not found:
            return text
        kept, at = list[bytes](), 0
        for start, end in sorted(found):
            if start > at or not at:
                kept += [raw[at:start], _HIDDEN]
            at = max(at, end)
        return b"".join((*kept, raw[at:])).decode(errors="surrogatepass")

    return redact


def _forms(secret: str) -> Iterator[tuple[bytes, bytes]]:
    """What to look for in a text without escapes: the secret, and what base64 makes of it.

    Beside each stands what is left alone by whatever escapes it: letters and digits.
    """
    raw = secret.encode(errors="surrogatepass")
    for text in (raw, raw.replace(b" ", b"+")):
        yield _unescape(text)[0].lower(), _longest_word(text)
    for before in range(3):  # at each of the places that it may have in what was encoded with it
        text = binascii.b2a_base64(bytes(before) + raw, newline=False)
        inside = text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6].lower()
        for form in (inside, inside.replace(b"+", b"-").replace(b"/", b"_")):
            yield form, _longest_word(form)


def _longest_word(text: bytes) -> bytes:
    return max(re.findall(b"[a-z0-9]+", text.lower()), key=len, default=b"")


def _unescape(text: bytes) -> tuple[bytes, list[int], list[int]]:
    """The text without escapes, in which places begin what, and where that stands in the text.

    The places take turns: of what was written as it is, of an escape, and so on.
    """
    parts, begins, stands, size, at = list[bytes](), [0], [0], 0, 0
    for escape in _ESCAPE.finditer(text):
        meaning = _meaning(escape[0])
        parts += [text[at : escape.start()], meaning]
        size += escape.start() - at
        at = escape.end()
        begins += [size, size := size + len(meaning)]
        stands += [escape.start(), at]
    return b"".join((*parts, text[at:])), begins, stands


def _meaning(escape: bytes) -> bytes:
    """What an escape stands for; backslashes are nothing, as there may be any number of them."""
    if escape.startswith(b"%"):
        meaning = unquote_to_bytes(re.sub(b"%(25)+", b"%", escape))
    elif escape.startswith(b"&"):
        import html  # noqa: PLC0415 - its table is large, and rarely needed

        meaning = html.unescape(escape.decode()).encode(errors="surrogatepass")
    else:
        units = bytes.fromhex(re.sub(rb"\\+u?", b"", escape).decode())
        meaning = units.decode("utf-16-be", "surrogatepass").encode(errors="surrogatepass")
    return meaning.replace(b"\\", b"")


def _readings(text: bytes) -> Iterator[tuple[bytes, list[int], list[int]]]:
    """The text in lower case: without escapes, and as it is where that differs."""
    plain, begins, stands = _unescape(text)
    yield plain.lower(), begins, stands
    if plain != text:  # a stray `%` makes an escape of what a secret begins with
        yield text.lower(), [0], [0]


def _places(text: bytes, forms: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where in the text one of the forms stands, from and to."""
    found = list[tuple[int, int]]()
    for low, begins, stands in _readings(text):
        for form in forms:
            at = low.find(form)
            while at >= 0:
                end = at + len(form)
                found.append((_stand(at, begins, stands)[0], _stand(end - 1, begins, stands)[1]))
                at = low.find(form, end)
    return found


def _stand(place: int, begins: list[int], stands: list[int]) -> tuple[int, int]:
    """From where to where a byte of the text without escapes stands in the text."""
    turn = bisect_right(begins, place) - 1
    if turn % 2:  # of an escape
        return stands[turn], stands[turn + 1]
    stand = stands[turn] + place - begins[turn]
    return stand, stand + 1


def _cut_places(text: bytes, forms: Iterable[bytes], longest: int) -> list[tuple[int, int]]:
    """Where the beginning of one of the forms stands, cut in the middle."""
    found, cut = list[tuple[int, int]](), text.find(_CUT)
    while cut >= 0:
        # Of a form, at most so much is left, however it is escaped.
        begin = max(cut - _LONGEST_ESCAPE * longest, 0)
        left = text[begin:cut]
        for part in {left, _HALF_ESCAPE.sub(b"", left)}:
            for low, begins, stands in _readings(part):
                starts = [_cut_start(low, form) for form in forms]
                found += [(begin + _stand(at, begins, stands)[0], cut) for at in starts if at >= 0]
        cut = text.find(_CUT, cut + 1)
    return found


def _cut_start(text: bytes, form: bytes) -> int:
    """Where the beginning of the form stands that the text ends with, or -1."""
    at = text.find(form[:_MIN_HIDDEN], max(len(text) - len(form) + 1, 0))
    while at >= 0 and not form.startswith(text[at:]):
        at = text.find(form[:_MIN_HIDDEN], at + 1)
    return at
