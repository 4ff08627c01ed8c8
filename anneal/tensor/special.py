"""Functions with polynomials of their own: as good near 0 as elsewhere, on every device, and differentiable to any order.

The coefficients are minimax fits of relative error below 2e-8 (Remez's algorithm), in powers of x, or of x**2 for the odd functions.

>>> from anneal import Tensor
>>> Tensor([1e-6]).expm1().item() > 1e-6, Tensor([0.0, -0.0]).tanh().tolist()
(True, [0.0, -0.0])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Self

from anneal.tensor.division import Division
from anneal.tensor.elementwise import Operand

_ATANH: Final = (0.9999999999, 0.3333333965, 0.1999934547, 0.1431036064, 0.1069662924, 0.1220652102)  # |x| < 1/3
_EXPM1: Final = (0.9999999996, 0.499999991, 0.1666666796, 0.04166679071, 0.008333275242, 0.001388431522, 0.000198483068, 2.542030334e-05, 2.755626957e-06)
_SINH: Final = (1.0, 0.1666666643, 0.008333352593, 0.0001983581245, 2.818523947e-06)  # |x| < 1, as the one above
_TANH: Final = (0.9999999961, -0.3333326053, 0.133311275, -0.05372106592, 0.02059098219, -0.00565998246)  # |x| < 0.625
_ATAN: Final = (0.9999999994, -0.3333330763, 0.1999821689, -0.1424008185, 0.1057347092, -0.06034767549)  # |x| < tan(pi/8)
_ASIN: Final = (0.9999999956, 0.1666679011, 0.07494434791, 0.04555017941, 0.02385820264, 0.04263558464)  # |x| < 0.5
_ERF: Final = (1.128379166, -0.3761262582, 0.1128358515, -0.02685381219, 0.005188328186, -0.0008010198262, 7.853877532e-05)  # |x| < 1
# erfc(x) * exp(x*x) / t in powers of t = 1 / (1 + x/2), for x from 1 to 11, beyond which float32 has no number but 0.
_ERFC: Final = (0.2820971725, 0.2820640197, 0.2467643591, 0.1796538037, 0.05878127642, 0.08575382527, -0.2289020906, 0.09437537544)
_LARGE: Final = 1e9
"""From here on the square of x hides 1."""


class Special(Division):
    """Logarithms and exponentials near 0, hyperbolic and inverse functions, the error function."""

    __slots__ = ()

    def _polynomial(self, coefficients: Sequence[float]) -> Self:
        """The sum of coefficients[i] * x**i."""
        total = self * coefficients[-1] + coefficients[-2]
        for coefficient in reversed(coefficients[:-2]):
            total = total * self + coefficient
        return total

    def _odd(self, coefficients: Sequence[float]) -> Self:
        """x times a polynomial of x * x: -0.0 stays what it is."""
        return self * (self * self)._polynomial(coefficients)

    # Logarithms and exponentials.

    def log1p(self) -> Self:
        """log(1 + x), exact to a few units near 0: -inf at -1, NaN below."""
        return self._through(lambda x: x._log1p())

    def _log1p(self) -> Self:
        near = (self > -0.5) & (self < 1)
        small = near.where(self, 0)
        return near.where((small / (small + 2))._odd(_ATANH) * 2, near.where(1, self + 1).log())

    def expm1(self) -> Self:
        """exp(x) - 1, exact to a few units near 0."""
        return self._through(lambda x: x._expm1())

    def _expm1(self) -> Self:
        near = (self > -1) & (self < 1)
        small = near.where(self, 0)
        return near.where(small * small._polynomial(_EXPM1), self.exp() - 1)

    def logaddexp(self, other: Operand) -> Self:
        """log(exp(x) + exp(y)) without overflow."""
        (a, b), tensors = self._common(other, floating=True)
        dtype = a.dtype
        x, y = self._make(a, *tensors).float(), self._make(b, *tensors).float()
        distance = x.eq(y).where(0, x - y)  # infinities of one sign are no distance apart
        return (x.maximum(y) + (-distance.abs()).exp()._log1p()).cast(dtype)

    # Hyperbolic functions.

    def sinh(self) -> Self:
        """Hyperbolic sine."""
        return self._through(lambda x: x._sinh())

    def _sinh(self) -> Self:
        near = self.abs() < 1
        up, down = self._halves()
        return near.where(near.where(self, 0)._odd(_SINH), up - down)

    def _halves(self) -> tuple[Self, Self]:
        """exp(x) / 2 and exp(-x) / 2: by roots, which do not overflow before the results do."""
        up, down = (self * 0.5).exp(), (self * -0.5).exp()
        return up * (up * 0.5), down * (down * 0.5)

    def cosh(self) -> Self:
        """Hyperbolic cosine."""

        def cosh(x: Self) -> Self:
            up, down = x._halves()
            return up + down

        return self._through(cosh)

    def tanh(self) -> Self:
        """Hyperbolic tangent."""
        return self._through(lambda x: x._tanh())

    def _tanh(self) -> Self:
        near = (self > -0.625) & (self < 0.625)
        bounded = self.maximum(-10).minimum(10)  # from there on it is 1
        return near.where(near.where(self, 0)._odd(_TANH), 1 - 2 / ((bounded * 2).exp() + 1))

    def asinh(self) -> Self:
        """Inverse hyperbolic sine."""

        def asinh(x: Self) -> Self:
            size = x.abs()
            large = size > _LARGE
            part = large.where(1, size)
            square = part * part
            value = large.where(large.where(size, 1).log() + math.log(2), (part + square / ((square + 1).sqrt() + 1))._log1p())
            return x.eq(0).where(x, (x < 0).where(-value, value))

        return self._through(asinh)

    def acosh(self) -> Self:
        """Inverse hyperbolic cosine: NaN below 1."""

        def acosh(x: Self) -> Self:
            large = x > _LARGE
            above = (large | (x < 1)).where(1, x) - 1
            value = large.where(large.where(x, 1).log() + math.log(2), (above + (above * (above + 2)).sqrt())._log1p())
            return ((x < 1) | x.isnan()).where(math.nan, value)

        return self._through(acosh)

    def atanh(self) -> Self:
        """Inverse hyperbolic tangent: infinite at -1 and 1, NaN outside."""

        def atanh(x: Self) -> Self:
            size = x.abs()
            value = (size * 2 / (1 - size))._log1p() * 0.5
            return x.eq(0).where(x, (x < 0).where(-value, value))

        return self._through(atanh)

    # Inverse functions of angles.

    def atan(self) -> Self:
        """The angle from -pi/2 to pi/2 whose tangent is x."""

        def atan(x: Self) -> Self:
            steep = (x > 1) | (x < -1)
            angle = steep.where(1 / steep.where(x, 1), x)._slope_angle()
            return steep.where((x < 0).where(-math.pi / 2, math.pi / 2) - angle, angle)

        return self._through(atan)

    def _slope_angle(self) -> Self:
        """The arc tangent of a slope from -1 to 1, as twice that of half the angle."""
        return (self / ((self * self + 1).sqrt() + 1))._odd(_ATAN) * 2

    def atan2(self, other: Operand) -> Self:
        """The angle of the point (other, self) from the x axis, from -pi to pi; the signs of zeros tell the sides apart."""
        (a, b), tensors = self._common(other, floating=True)
        dtype = a.dtype
        y, x = self._make(a, *tensors).float(), self._make(b, *tensors).float()
        below, left = y.signbit(), x.signbit()
        rise, run = below.where(-y, y), left.where(-x, x)
        steep = rise > run
        less, more = steep.where(run, rise), steep.where(rise, run)
        both = less.eq(math.inf)
        slope = both.where(1, both.where(0, less) / (more.eq(0) | both).where(1, more))
        angle = slope._slope_angle()
        angle = steep.where(math.pi / 2 - angle, angle)
        angle = left.where(math.pi - angle, angle)
        angle = (x.isnan() | y.isnan()).where(math.nan, angle)
        return below.where(-angle, angle).cast(dtype)

    def asin(self) -> Self:
        """The angle from -pi/2 to pi/2 whose sine is x; NaN outside of -1 to 1."""

        def asin(x: Self) -> Self:
            far, angle = x._sine_angle()
            wide = math.pi / 2 - angle * 2
            return far.where((x < 0).where(-wide, wide), angle)

        return self._through(asin)

    def acos(self) -> Self:
        """The angle from 0 to pi whose cosine is x; NaN outside of -1 to 1."""

        def acos(x: Self) -> Self:
            far, angle = x._sine_angle()
            wide = angle * 2
            return far.where((x < 0).where(math.pi - wide, wide), math.pi / 2 - angle)

        return self._through(acos)

    def _sine_angle(self) -> tuple[Self, Self]:
        """Whether |x| is above 0.5; and there half the arc cosine of |x|, else the arc sine of x."""
        far = self.abs() > 0.5
        root = far.where((1 - self.abs()) * 0.5, 0.25).sqrt()
        return far, far.where(root, self)._odd(_ASIN)

    # The error function.

    def erf(self) -> Self:
        """The error function: 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""

        def erf(x: Self) -> Self:
            near, small, tail = x._error()
            return near.where(small, (x < 0).where(tail - 1, 1 - tail))

        return self._through(erf)

    def erfc(self) -> Self:
        """1 - erf(x), exact to a few units times 1 + x*x also where erf(x) is close to 1."""

        def erfc(x: Self) -> Self:
            near, small, tail = x._error()
            return near.where(1 - small, (x < 0).where(2 - tail, tail))

        return self._through(erfc)

    def _error(self) -> tuple[Self, Self, Self]:
        """Whether |x| is below 1; erf(x) there; elsewhere 1 - erf(|x|)."""
        near = (self > -1) & (self < 1)
        size = near.where(1, self.abs()).minimum(11)
        scale = 1 / (size * 0.5 + 1)
        return near, near.where(self, 0)._odd(_ERF), (-(size * size)).exp() * scale * scale._polynomial(_ERFC)
