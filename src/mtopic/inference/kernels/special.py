"""Elementary functions of whole arrays in double precision, written so that compilers vectorise them.

They work on positive normal numbers and make no allocation; views of the bits stand for frexp and ldexp.
"""

import math

import numpy as np
from numba.extending import overload

from .jit import inlined, jit, jit_reassociate

SQRT_HALF = int(np.float64(0.5**0.5).view(np.int64))
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # ln 2; the first has 32 bits: its multiples are exact
SQRT_HALF_SINGLE = np.float32(0.5**0.5).view(np.int32)
LN2, THIRD, FIFTH, SEVENTH, NINTH = (np.float32(value) for value in (math.log(2), 1 / 3, 1 / 5, 1 / 7, 1 / 9))
LOG2E = 1 / math.log(2)
ROUNDER = 1.5 * 2.0**52  # added to a number, it leaves the nearest integer in the low bits
EXP_FLOOR = -690.0
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
C2, C4, C6, C8, C10, C12 = 1 / 12, 1 / 120, 1 / 252, 1 / 240, 1 / 132, 691 / 32760


def log(x):
    """Replace x by ln x in its own precision (relative error below 1e-13 in double, below 3e-7 in single precision)."""
    (_log_single if x.itemsize == 4 else log_double)(x)


@overload(log, inline="always")
def _log_of_its_precision(x):
    """A branch in `log` would be compiled for both precisions."""
    if x.dtype.bitwidth == 32:
        return lambda x: _log_single(x)
    return lambda x: log_double(x)


@jit
def log_double(x):
    """`log` in double precision."""
    bits = x.view(np.int64)
    for i in range(x.size):
        exponent = (bits[i] - SQRT_HALF) >> 52
        bits[i] -= exponent << 52
        s = (x[i] - 1) / (x[i] + 1)
        z = s * s
        odd = z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15)))))))
        x[i] = exponent * LN2_LOW + 2 * s * (1 + odd) + exponent * LN2_HIGH


@jit
def _log_single(x):
    bits, one, two = x.view(np.int32), np.float32(1), np.float32(2)
    for i in range(x.size):
        exponent = np.int32(np.int32(bits[i] - SQRT_HALF_SINGLE) >> 23)
        bits[i] = np.int32(bits[i] - np.int32(exponent << 23))
        s = (x[i] - one) / (x[i] + one)
        z = s * s
        odd = z * (THIRD + z * (FIFTH + z * (SEVENTH + z * NINTH)))
        x[i] = two * s * (one + odd) + np.float32(exponent) * LN2


@jit
def exp(x, scratch):
    """Replace x ≤ 0 by exp(max(x, `EXP_FLOOR`)) (relative error below 1e-14)."""
    bits = scratch.view(np.int64)
    for i in range(x.size):
        value = max(x[i], EXP_FLOOR)
        scratch[i] = value * LOG2E + ROUNDER
        n = scratch[i] - ROUNDER
        r = (value - n * LN2_HIGH) - n * LN2_LOW
        series = 1.0
        for k in range(12, 0, -1):
            series = 1 + series * r * (1 / k)
        bits[i] = (bits[i] + 1023) << 52
        x[i] = series * scratch[i]


@jit
def digamma(x, out):
    """Write ψ(x): six steps of the recurrence in one fraction, then the asymptotic series (error below 1e-12)."""
    for i in range(x.size):
        out[i] = x[i] + 6
    log_double(out)
    for i in range(x.size):
        y = x[i] + 6
        u = x[i] * (x[i] + 5)
        product = u * (u + 4) * (u + 6)
        steps = (2 * x[i] + 5) * ((3 * u + 20) * u + 24) / product
        inverse = 1 / y
        z = inverse * inverse
        series = z * (C2 - z * (C4 - z * (C6 - z * (C8 - z * (C10 - z * C12)))))
        out[i] += -0.5 * inverse - series - steps


@jit_reassociate
def sum_log_gamma(x, logs, factors):
    """Return Σ ln Γ(x): Stirling's series at x + 6, less the logarithm of the six factors, of two x together.

    Their product is a normal number for 1e-150 < x < 1e25.
    """
    n, half, total = x.size, x.size // 2, 0.0
    for i in range(n):
        u = x[i] * (x[i] + 5)
        factors[i] = u * (u + 4) * (u + 6)
    for i in range(half):
        factors[i] *= factors[n - half + i]
    log_double(factors[: n - half])
    for i in range(n - half):
        total -= factors[i]
    for i in range(n):
        logs[i] = x[i] + 6
    log_double(logs[:n])
    for i in range(n):
        y = x[i] + 6
        z = 1 / (y * y)
        series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z / 1188)))) / y
        total += (y - 0.5) * logs[i] - y + HALF_LOG_2PI + series
    return total


@inlined
def copy(values, out):
    """Write the values; assigning one array to another would take seconds to compile."""
    for i in range(out.size):
        out[i] = values[i]


@inlined
def total(values):
    """Σ of the values, one after the other, in their own precision."""
    result = values.dtype.type(0)
    for i in range(values.size):
        result += values[i]
    return result


@jit_reassociate
def dot(a, b):
    """Σ a·b over the entries of ``a``, in double precision."""
    total = 0.0
    for i in range(a.size):
        total += float(a[i]) * float(b[i])
    return total
