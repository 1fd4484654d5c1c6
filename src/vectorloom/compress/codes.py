# SPDX-License-Identifier: Apache-2.0
"""Packed codes that know which calibration made them, and the file that holds both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vectorloom.errors import FormatError, ParameterError, ShapeError

if TYPE_CHECKING:
    from vectorloom.compress.compressor import Compressor
    from vectorloom.io.container import Container

_KIND = "compress.codes"


class Codes(np.ndarray[Any, np.dtype[np.uint8]]):
    """A uint8 matrix, one packed row a vector, that carries its calibration's fingerprint.

    Made by `Compressor.transform`. Rows may be selected, stacked with `Codes.concatenate` and
    viewed as NumPy arrays; arithmetic gives plain arrays. `inverse_transform` and `scores` refuse
    codes whose fingerprint is not that of the compressor that is asked.

    Attributes
    ----------
    fingerprint : str
        Of the compressor that wrote the codes; empty for an array of unknown origin.

    Examples
    --------
    >>> codes = Codes(np.zeros((4, 2), np.uint8), "made-by-a")
    >>> codes[1:3].fingerprint, codes[1:3].shape
    ('made-by-a', (2, 2))
    >>> type(codes + 1).__name__
    'ndarray'
    """

    fingerprint: str

    def __new__(cls, array: NDArray[np.uint8], fingerprint: str) -> Codes:
        """View `array` as codes made by the compressor with this fingerprint.

        Parameters
        ----------
        array : ndarray of shape (n, bytes), uint8
        fingerprint : str
        """
        codes = np.ascontiguousarray(array, np.uint8).view(cls)
        codes.fingerprint = fingerprint
        return codes

    def __array_finalize__(self, source: Any) -> None:
        """Slices and views keep the fingerprint."""
        self.fingerprint = getattr(source, "fingerprint", "")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Compute on plain arrays: the result of arithmetic is no code."""
        plain = [np.asarray(x).view(np.ndarray) if isinstance(x, Codes) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __reduce__(self) -> Any:
        """Copy and pickle with the fingerprint."""
        return (Codes, (np.asarray(self).view(np.ndarray), self.fingerprint))

    @staticmethod
    def concatenate(parts: list[Codes]) -> Codes:
        """Stack codes of one compressor.

        Parameters
        ----------
        parts : list of Codes
            At least one; of equal width.

        Returns
        -------
        Codes

        Raises
        ------
        ParameterError
            Made with different calibrations.
        """
        prints = {part.fingerprint for part in parts}
        if len(prints) != 1:
            raise ParameterError(
                f"the parts were made with {len(prints)} calibrations; stack codes of one "
                "compressor only."
            )
        return Codes(np.concatenate([np.asarray(part) for part in parts]), prints.pop())


@dataclass(frozen=True, eq=False)
class CodedVectors:
    """Codes with the compressor that made them: what a file of codes holds.

    Attributes
    ----------
    compressor : Compressor
    codes : Codes of shape (n, bytes_per_vector)
    ids : ndarray of shape (n,), int64 or object, or None

    Examples
    --------
    >>> from vectorloom.compress import Float16
    >>> X = np.eye(4, dtype=np.float32)
    >>> compressor = Float16().fit(X)
    >>> CodedVectors(compressor, compressor.transform(X)).decode().shape
    (4, 4)
    """

    compressor: Compressor
    codes: Codes
    ids: NDArray[Any] | None = None

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.codes)

    def decode(self) -> NDArray[np.float32]:
        """Return the vectors the codes stand for, float32 (n, dim)."""
        return self.compressor.inverse_transform(self.codes)

    def scores(self, queries: Any, metric: str = "ip") -> NDArray[np.float32]:
        """Return the scores of float queries against all codes; see `Compressor.scores`."""
        return self.compressor.scores(queries, self.codes, metric)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write codes, ids and calibration to one file that `vectorloom.open` reads.

        Parameters
        ----------
        path : path-like
        """
        from vectorloom.compress.storage import flatten
        from vectorloom.io.container import write_container
        from vectorloom.io.strings import pack_strings

        meta, arrays = flatten(self.compressor)
        if self.codes.fingerprint != self.compressor.fingerprint_:
            raise ParameterError(
                "these codes were made with another calibration than this compressor's; transform "
                "the vectors again."
            )
        arrays["codes"] = np.asarray(self.codes)
        if self.ids is not None:
            if self.ids.dtype == object:
                arrays["id_bytes"], arrays["id_offsets"] = pack_strings(self.ids.tolist())
            else:
                arrays["ids"] = self.ids
        write_container(path, _KIND, {"compressor": meta, "n": len(self.codes)}, arrays)


def load_codes(container: Container) -> CodedVectors:
    """Rebuild `CodedVectors` from an opened file; registered for `vectorloom.open`."""
    from vectorloom.compress.storage import restore
    from vectorloom.io.strings import unpack_strings

    compressor = restore(container.meta.get("compressor"), container)
    codes = container.array("codes", "|u1", (None, compressor.bytes_per_vector_))
    ids: NDArray[Any] | None = None
    if "ids" in container.arrays:
        ids = container.array("ids", "<i8", (len(codes),))
    elif "id_bytes" in container.arrays:
        blob = container.array("id_bytes", "|u1", (None,))
        ids = unpack_strings(blob, container.array("id_offsets", "<i8", (len(codes) + 1,)))
    return CodedVectors(compressor, Codes(codes, compressor.fingerprint_), ids)


def check_codes(codes: Any, width: int, fingerprint: str, name: str) -> NDArray[np.uint8]:
    """Return packed codes as a plain array, refusing those of another calibration.

    Parameters
    ----------
    codes : Codes or ndarray of shape (n, width), uint8
        A plain array is taken on the caller's word; its width and type are checked.
    width : int
        Bytes a row.
    fingerprint : str
        Of the compressor that is asked to read them.
    name : str
        Its class, for messages.

    Returns
    -------
    ndarray of shape (n, width), uint8

    Raises
    ------
    ParameterError
        Another calibration, or not uint8.
    ShapeError
        Another width.
    """
    made_by = getattr(codes, "fingerprint", "")
    if made_by and made_by != fingerprint:
        raise ParameterError(
            f"these codes were made with another calibration ({made_by[:12]}) than this {name}'s "
            f"({fingerprint[:12]}); use the compressor that made them, or transform the vectors "
            "again."
        )
    array = np.asarray(codes)
    if array.dtype != np.uint8:
        raise ParameterError(
            f"codes of {name} are uint8; got {array.dtype}. Pass what transform returned."
        )
    if array.ndim != 2 or array.shape[1] != width:
        raise ShapeError(
            f"codes of this {name} have shape (n, {width}); got {array.shape}. Pass what transform "
            "returned."
        )
    return np.ascontiguousarray(array).view(np.ndarray)


def format_error(path: object, what: str) -> FormatError:
    """Return the error for a file whose content does not fit its kind."""
    return FormatError(f"{path}: {what} Write the file again with save().")
