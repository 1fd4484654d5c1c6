# SPDX-License-Identifier: Apache-2.0
"""The scikit-learn contract of parameters, without importing scikit-learn: that takes 0.5 s."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Collection
from typing import Any, TypeVar

from vectorloom.errors import NotFittedError, ParameterError

_Self = TypeVar("_Self", bound="Estimator")


class Estimator:
    """Base class of everything that is fitted: parameters that `sklearn.base.clone` understands.

    A subclass stores its constructor's arguments unchanged under their own names and checks them in
    `fit`; names of fitted attributes end in ``_``. Methods that need a fit call `_check_fitted`.

    Examples
    --------
    >>> class Scaler(Estimator):
    ...     def __init__(self, *, factor=2.0):
    ...         self.factor = factor
    >>> Scaler(factor=3.0).get_params()
    {'factor': 3.0}
    >>> Scaler(factor=3.0)
    Scaler(factor=3.0)
    """

    @classmethod
    def _parameters(cls) -> dict[str, Any]:
        """Return the constructor's parameters with their defaults, in order."""
        signature = inspect.signature(cls.__init__)
        return {name: p.default for name, p in signature.parameters.items() if name != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters as they were given.

        Parameters
        ----------
        deep : bool, default=True
            Also those of parameters that are estimators, as ``name__parameter``.

        Returns
        -------
        dict
        """
        params: dict[str, Any] = {}
        for name in self._parameters():
            value = getattr(self, name)
            params[name] = value
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                params |= {f"{name}__{key}": v for key, v in value.get_params().items()}
        return params

    def set_params(self: _Self, **params: Any) -> _Self:
        """Set parameters by name; they count from the next `fit` on.

        Parameters
        ----------
        **params : dict
            ``name=value``, or ``name__parameter=value`` for a parameter that is an estimator.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            An unknown name; then nothing is set.
        """
        allowed = self._parameters()
        nested: dict[str, dict[str, Any]] = {}
        for key in params:
            name, _, _ = key.partition("__")
            if name not in allowed:
                raise ParameterError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(allowed)}."
                )
        for key, value in params.items():
            name, nests, rest = key.partition("__")
            if nests:
                nested.setdefault(name, {})[rest] = value
            else:
                setattr(self, name, value)
        for name, inner in nested.items():
            getattr(self, name).set_params(**inner)
        return self

    def __repr__(self) -> str:
        changed = (
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameters().items()
            if repr(getattr(self, name)) != repr(default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError(
                f"this {type(self).__name__} holds nothing yet; call fit(X) or add(X) first."
            )


def check_choice(name: str, value: Any, allowed: Collection[str]) -> None:
    """Refuse a value that is not one of the allowed words, and list them.

    Parameters
    ----------
    name : str
        The parameter.
    value : object
    allowed : collection of str

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> check_choice("metric", "dot", ["cosine", "ip"])
    Traceback (most recent call last):
        ...
    vectorloom.errors.ParameterError: metric must be one of 'cosine', 'ip'; got 'dot'.
    """
    if not isinstance(value, str) or value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise ParameterError(f"{name} must be one of {words}; got {value!r}.")


def check_count(name: str, value: Any, *, at_least: int = 1) -> int:
    """Return a whole number as int, refusing booleans, fractions and what is too small.

    Parameters
    ----------
    name : str
        The parameter.
    value : int
        NumPy integers are fine.
    at_least : int, default=1

    Returns
    -------
    int

    Raises
    ------
    ParameterError
    """
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = at_least - 1
    if isinstance(value, bool) or count < at_least:
        raise ParameterError(f"{name} must be a whole number, at least {at_least}; got {value!r}.")
    return count


def check_jobs(value: Any) -> int | None:
    """Return `n_jobs` as the core takes it: None, or a whole number other than 0.

    Parameters
    ----------
    value : int or None
        None: all threads this process is allowed. -1: the same. -2: all but one. Otherwise so many.

    Returns
    -------
    int or None

    Raises
    ------
    ParameterError
    """
    if value is None:
        return None
    try:
        jobs = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        jobs = 0
    if jobs == 0:
        raise ParameterError(
            "n_jobs must be None (all allowed threads) or a whole number other than 0; got "
            f"{value!r}."
        )
    return jobs
