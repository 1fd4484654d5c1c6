# SPDX-License-Identifier: Apache-2.0
"""The code of rows in inverted lists, as users ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vectorloom.errors import ParameterError

if TYPE_CHECKING:
    from vectorloom.compress.compressor import Compressor

#: Codes of lists of their own (lists.py).
OWN = ("int8", "int4")


def codec_of(code: Any, spill: bool | None, n_jobs: int | None) -> Compressor | None:
    """Return the compressor that `code` asks for, None where it names the index's own codes.

    Raises
    ------
    ParameterError
        It is neither, or `spill` is asked for beside a compressor.
    """
    if code is None or (isinstance(code, str) and code in OWN):
        return None
    from vectorloom.compress.compressor import Compressor
    from vectorloom.compress.recipe import from_text

    codec = code
    if isinstance(codec, str):
        try:
            codec = from_text(codec)
        except ParameterError as error:
            raise ParameterError(f"code must be 'int8', 'int4' or a recipe: {error}") from error
    if not isinstance(codec, Compressor) or codec.output != "codes":
        raise ParameterError(
            "code must be 'int8', 'int4', a quantizer of vectorloom.compress such as PQ(48), "
            f"or its recipe 'pq:48'; got {code!r}."
        )
    if spill:
        raise ParameterError(
            "spill=True is not for codes of a compressor: rows stand in one list; leave it out."
        )
    if hasattr(codec, "n_jobs"):
        codec = type(codec)(**{**codec.get_params(deep=False), "n_jobs": n_jobs})
    return codec
