# SPDX-License-Identifier: Apache-2.0
"""Recipes as text: ``"pca:192 | pq:48x8"`` and back."""

from __future__ import annotations

import ast
from typing import Any

from vectorloom.compress.compressor import Compressor
from vectorloom.errors import ParameterError

# Word -> class, and its parameters that follow the colon, separated by "x".
_WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "pca": ("PCA", ("n_components",)),
    "truncate": ("Truncate", ("n_components",)),
    "matryoshka": ("Matryoshka", ("n_components",)),
    "rp": ("RandomProjection", ("n_components",)),
    "fft": ("FFT", ("n_components",)),
    "whitening": ("Whitening", ("n_components",)),
    "leanvec": ("LeanVec", ("n_components",)),
    "tldr": ("TLDR", ("n_components",)),
    "minimax": ("Minimax", ("n_components",)),
    "float16": ("Float16", ()),
    "bfloat16": ("BFloat16", ()),
    "float8": ("Float8", ("format",)),
    "scalar": ("Scalar", ("bits",)),
    "nonuniform": ("NonUniform", ("bits",)),
    "lvq": ("LVQ", ("bits", "residual_bits")),
    "rabitq": ("RaBitQ", ("bits",)),
    "mixed": ("MixedBits", ("bits_per_dim",)),
    "pq": ("PQ", ("n_parts", "bits")),
    "opq": ("OPQ", ("n_parts", "bits")),
    "rq": ("ResidualQuantizer", ("n_codebooks", "bits")),
    "sign": ("Sign", ()),
    "itq": ("ITQ", ("n_bits",)),
    "bebr": ("BEBR", ("bits_per_dim",)),
    "csr": ("CSR", ("n_hidden", "k")),
}


def from_text(text: Any) -> Compressor:
    """Make compressors from a recipe.

    Parameters
    ----------
    text : str
        Steps separated by ``|``. A step is a word, its main values after a colon, separated by
        ``x``, and any other parameter as ``name=value`` after a comma.

    Returns
    -------
    Compressor
        Not fitted; a `Chain` when there is more than one step.

    Raises
    ------
    ParameterError
        An unknown word, too many values, an unknown parameter.

    Examples
    --------
    >>> from_text("pca:64")
    PCA(n_components=64)
    >>> to_text(from_text("pca:64,center=False"))
    'pca:64,center=False'
    """
    if not isinstance(text, str) or not text.strip():
        raise ParameterError(f"a recipe is text such as 'pca:192 | float8'; got {text!r}.")
    steps = [_step(part.strip()) for part in text.split("|")]
    if len(steps) == 1:
        return steps[0]
    from vectorloom.compress.chain import Chain

    return Chain(steps)


def to_text(compressor: Compressor) -> str:
    """Return the recipe of a compressor, as `from_text` reads it.

    Parameters
    ----------
    compressor : Compressor

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        A class that has no word.
    """
    if hasattr(compressor, "recipe"):
        return str(compressor.recipe)
    name = type(compressor).__name__
    word = next((word for word, (cls, _) in _WORDS.items() if cls == name), None)
    if word is None:
        raise ParameterError(f"{name} has no word in recipes; pass the object itself.")
    main = _WORDS[word][1]
    defaults = compressor._parameters()
    params = compressor.get_params(deep=False)
    values = [params[key] for key in main]
    while values and (values[-1] is None or values[-1] == defaults[main[len(values) - 1]]):
        values.pop()
    rest = [
        f"{key}={value!r}"
        for key, value in params.items()
        if key not in main and key != "n_jobs" and repr(value) != repr(defaults[key])
    ]
    head = word + (":" + "x".join(str(value) for value in values) if values else "")
    return ",".join([head, *rest])


def _step(part: str) -> Compressor:
    import vectorloom.compress as room

    head, *pairs = [piece.strip() for piece in part.split(",")]
    word, colon, values = head.partition(":")
    word = word.strip().lower()
    if word not in _WORDS:
        raise ParameterError(f"{word!r} is no step of a recipe; there are {', '.join(_WORDS)}.")
    name, main = _WORDS[word]
    given = [_value(v) for v in values.split("x")] if colon else []
    if len(given) > len(main):
        raise ParameterError(f"{word} takes {len(main)} values after the colon; got {part!r}.")
    params: dict[str, Any] = dict(zip(main, given, strict=False))
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"{pair!r} in {part!r} must be name=value.")
        params[key.strip()] = _value(value)
    cls = getattr(room, name)
    unknown = sorted(set(params) - set(cls._parameters()))
    if unknown:
        allowed = ", ".join(cls._parameters())
        raise ParameterError(f"{word} has no parameter {unknown[0]!r}; it has {allowed}.")
    made: Compressor = cls(**params)
    return made


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()
