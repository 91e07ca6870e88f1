"""A row of 16 pixels as one vector: a very small language over LLVM's vectors, for the two innermost loops.

LLVM's own vectoriser gives up on those loops (measured: the scalar form is 3-4 times slower), so the rows are written with
explicit vectors. LLVM turns them into whatever the processor has: one AVX-512 register, two of AVX2, four of NEON.
`Lanes` values add, multiply and compare like numbers; `choose` is the vector form of "a if mask else b".
"""
# llvmlite is not annotated, and what is inferred of it (values without a type, instructions that are None) is wrong:
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

WIDTH = 16                                  # lanes; a tile is as wide
FAST = ("fast",)                            # reassociation and fused multiply-add, as in the scalar kernels
LOG2_E = 1.4426950408889634
EXP2_FLOAT = (1.0, 0.6931471805599453, 0.2402265069591007, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443)
LN_2 = 0.6931471805599453


class Lanes:
    """16 numbers, or 16 truth values, inside of the function that `builder` is writing."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value):
        self.builder, self.value = builder, value

    def _other(self, other: Lanes | float) -> ir.Value:
        if isinstance(other, Lanes):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * WIDTH)

    def __add__(self, other):
        return Lanes(self.builder, self.builder.fadd(self.value, self._other(other), flags=FAST))

    def __sub__(self, other):
        return Lanes(self.builder, self.builder.fsub(self.value, self._other(other), flags=FAST))

    def __rsub__(self, other):
        return Lanes(self.builder, self.builder.fsub(self._other(other), self.value, flags=FAST))

    def __mul__(self, other):
        return Lanes(self.builder, self.builder.fmul(self.value, self._other(other), flags=FAST))

    def __neg__(self):
        return 0.0 - self

    def reciprocal(self):
        """1 / x, correctly rounded (no estimate)."""
        return Lanes(self.builder, self.builder.fdiv(self._other(1.0), self.value))

    def _compare(self, sign: str, other):
        return Lanes(self.builder, self.builder.fcmp_ordered(sign, self.value, self._other(other)))

    def __ge__(self, other):
        return self._compare(">=", other)

    def __gt__(self, other):
        return self._compare(">", other)

    def __le__(self, other):
        return self._compare("<=", other)

    def __and__(self, other):
        return Lanes(self.builder, self.builder.and_(self.value, other.value))

    def choose(self, yes: Lanes | float, no: Lanes | float) -> Lanes:
        """`yes` where this mask holds, `no` elsewhere; at least one of them has to be a Lanes."""
        if isinstance(yes, Lanes):
            return Lanes(self.builder, self.builder.select(self.value, yes.value, yes._other(no)))
        return Lanes(self.builder, self.builder.select(self.value, no._other(yes), no.value))

    def across(self) -> ir.Value:
        """The sum of all lanes, one number."""
        vector, element = self.value.type, self.value.type.element
        name = f"llvm.vector.reduce.fadd.v{WIDTH}f{64 if isinstance(element, ir.DoubleType) else 32}"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(element, [element, vector]), name)
        return self.builder.call(function, [ir.Constant(element, 0.0), self.value], fastmath=FAST)

    def at_most(self, limit: float) -> Lanes:
        return (self <= limit).choose(self, limit)

    def at_least(self, limit: float) -> Lanes:
        return (self >= limit).choose(self, limit)


def exponential(x: Lanes) -> Lanes:
    """e**x for x <= 0. float32: about 2 units in the last place; float64: about 1e-15 relative."""
    builder, double = x.builder, isinstance(x.value.type.element, ir.DoubleType)
    bits, mantissa, bias = (64, 52, 1023) if double else (32, 23, 127)
    integers = ir.VectorType(ir.IntType(bits), WIDTH)
    x = x.at_least(-700.0 if double else -80.0) * LOG2_E
    whole = builder.fptosi((x - 0.5).value, integers)
    fraction = x - Lanes(builder, builder.sitofp(whole, x.value.type))
    coefficients = _taylor(15) if double else EXP2_FLOAT
    total = Lanes(builder, fraction._other(coefficients[-1]))
    for coefficient in reversed(coefficients[:-1]):
        total = total * fraction + coefficient
    shifted = builder.add(whole, ir.Constant(integers, [bias] * WIDTH))
    power = builder.shl(shifted, ir.Constant(integers, [mantissa] * WIDTH))
    return total * Lanes(builder, builder.bitcast(power, x.value.type))


def _taylor(terms: int) -> list[float]:
    """Coefficients of 2**f = sum (ln 2)^k / k! f^k."""
    coefficients = [1.0]
    for k in range(1, terms):
        coefficients.append(coefficients[-1] * LN_2 / k)
    return coefficients


class Memory:
    """A contiguous array inside of the function that `builder` is writing; offsets count elements."""

    def __init__(self, builder: ir.IRBuilder, pointer: ir.Value, offset: ir.Value, element: ir.Type):
        self.builder, self.element = builder, element
        self.pointer = builder.gep(builder.bitcast(pointer, element.as_pointer()), [offset])

    def _at(self, offset: int) -> ir.Value:
        return self.builder.gep(self.pointer, [ir.Constant(ir.IntType(64), offset)])

    def _row(self, offset: int) -> ir.Value:
        return self.builder.bitcast(self._at(offset), ir.VectorType(self.element, WIDTH).as_pointer())

    def load(self, offset: int) -> Lanes:
        """16 neighbours."""
        row = self.builder.load(self._row(offset), align=self._align())
        return Lanes(self.builder, row)

    def store(self, offset: int, value: Lanes) -> None:
        self.builder.store(value.value, self._row(offset), align=self._align())

    def load_one(self, offset: int) -> Lanes:
        """One number in all 16 lanes."""
        return spread(self.builder, self.builder.load(self._at(offset)))

    def store_one(self, offset: int, number: ir.Value) -> None:
        self.builder.store(number, self._at(offset))

    def _align(self) -> int:
        return 8 if isinstance(self.element, ir.DoubleType) else 4


class Sum:
    """16 sums that stay in a register over a loop; `like` tells the type."""

    def __init__(self, builder: ir.IRBuilder, like: Lanes):
        self.builder = builder
        self.place = cgutils.alloca_once(builder, like.value.type)
        builder.store(like._other(0.0), self.place)

    def add(self, value: Lanes) -> None:
        self.builder.store((self.total() + value).value, self.place)

    def total(self) -> Lanes:
        return Lanes(self.builder, self.builder.load(self.place))


def spread(builder: ir.IRBuilder, number: ir.Value) -> Lanes:
    """One number in all lanes."""
    empty = ir.Constant(ir.VectorType(number.type, WIDTH), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    return Lanes(builder, builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)))


def counting(builder: ir.IRBuilder, element: ir.Type) -> Lanes:
    """0, 1, 2, ... 15."""
    return Lanes(builder, ir.Constant(ir.VectorType(element, WIDTH), [float(i) for i in range(WIDTH)]))
