"""B.4: a graph object, forward() in topological order and backward() in reverse.

The lecture's sketch of an implementation is a class with two methods that visit the gates: forward() in an
order in which every gate comes after those that it needs, backward() in the reverse of it.  A gate is a class
of its own, which keeps what its backward needs.  fastnn writes the visits down once, as a list of operations,
the plan: it can be printed, and it is all that runs later.
"""

import argparse

import fastnn
from fastnn.layers import Add, Maximum, Multiply, Scale


class MultiplyGate:
    """The lecture's gate for z = x y."""

    def forward(self, x: float, y: float) -> float:
        """Return x y, and keep both."""
        self.x, self.y = x, y
        return x * y

    def backward(self, dz: float) -> tuple[float, float]:
        """Return the gradients on x and y: upstream times the other input."""
        return dz * self.y, dz * self.x


def circuit() -> fastnn.Model:
    """Return CS231n's circuit f = 2 (x y + max(z, w)), its gates made in an arbitrary order."""
    x, y, z, w = (fastnn.Input((1,), name=name) for name in "xyzw")
    larger = Maximum(name="larger")([z, w])
    product = Multiply(name="product")([x, y])
    total = Add(name="total")([product, larger])
    return fastnn.Model([x, y, z, w], Scale(2.0, name="f")(total), dtype="float64")


def short(name: str) -> str:
    """Return an array's name without the parts that only say whose it is: ``"d(x)"`` for ``"d(x:x)"``."""
    return name.replace("x:", "").replace("/y", "")


def main(quick: bool) -> None:
    """Run a gate, then the circuit, both ways, and print the plan."""
    gate = MultiplyGate()
    print(f"MultiplyGate: forward(3, -4) = {gate.forward(3, -4)}, backward(2) = {gate.backward(2)}\n")
    model = circuit()
    f = model.forward({"x": [[3.0]], "y": [[-4.0]], "z": [[2.0]], "w": [[-1.0]]})
    gradients = model.backward(wrt=["product", "larger", "total"])
    known = {"x": -8.0, "y": 6.0, "z": 2.0, "w": 0.0, "product": 2.0, "larger": 2.0, "total": 2.0}
    print(f"f         CS231n  -20   fastnn {f.item():4g}")
    for name, expected in known.items():
        print(f"{'df/d' + name:11} {expected:9g} {gradients[name].item():13g}")
        assert gradients[name].item() == expected

    forward, backward = model.plan(1, "predict"), model.plan(1, "backward")
    order = [op.layer for op in forward.ops]
    visits = [op.layer for op in backward.ops[len(order) :] if op.layer in order]
    visits = list(dict.fromkeys(visits))  # a gate with two inputs is visited once for each
    print("\nforward visits ", " -> ".join(order))
    print("backward visits", " -> ".join(visits))
    assert visits == [name for name in reversed(order) if name != "total"]

    print("\nThe plan.  The backward of the product reads y and x, which were kept.  The")
    print("sum has no operation there: it passes on what comes.  Sizes, places in memory")
    print("and costs are in what print(model.plan(1, 'backward')) says.\n")
    print("   gate     writes      reads           operation")
    for number, op in enumerate(backward.ops):
        if op.layer in order:  # the last operations only hand the gradients over
            outputs, inputs = (
                ", ".join(short(operand.name) for operand in side) for side in (op.outputs(), op.inputs())
            )
            print(f"{number:2} {op.layer:8} {outputs:8} <- {inputs:15} {op.code.name.lower()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="changes nothing: this takes no time")
    main(parser.parse_args().quick)
