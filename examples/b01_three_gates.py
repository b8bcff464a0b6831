"""B.1: f = (x + y) z, the smallest graph that back-propagation can be shown on.

Two gates.  The sum passes the gradient that comes from above to both its inputs, the product swaps its
inputs: df/dz = q = x + y, and df/dq = z.  By the chain rule df/dx = df/dq * dq/dx = z * 1; so for y.
"""

import argparse

import fastnn
from fastnn.layers import Add, Multiply

AT = {"x": -2.0, "y": 5.0, "z": -4.0}
LECTURE = {"f": -12.0, "x": -4.0, "y": -4.0, "z": 3.0}


def gates() -> fastnn.Model:
    """Return the graph; an input of width 1 is a number, or one number for each row of a batch."""
    x, y, z = (fastnn.Input((1,), name=name) for name in "xyz")
    q = Add(name="q")([x, y])
    return fastnn.Model([x, y, z], Multiply(name="f")([q, z]), dtype="float64")


def main(quick: bool) -> None:
    """Go forward, then backward, and print what came out beside the lecture's numbers."""
    model = gates()
    value = model.forward({name: [[number]] for name, number in AT.items()})
    found = {"f": value} | model.backward(wrt=["q"])  # the inputs' gradients need not be asked for
    print("f = (x + y) z  at", ", ".join(f"{name} = {number:g}" for name, number in AT.items()))
    print(f"{'':8} {'lecture':>8} {'fastnn':>8}")
    for name, lecture in LECTURE.items():
        label = name if name == "f" else f"df/d{name}"
        print(f"{label:8} {lecture:8g} {found[name].item():8g}")
        assert found[name].item() == lecture
    print(f"on the way: df/dq = z = {found['q'].item():g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="changes nothing: this takes no time")
    main(parser.parse_args().quick)
