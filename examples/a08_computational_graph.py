"""Lecture A.8: back-propagation through a graph of gates, each of which knows only itself.

Add passes the upstream gradient on to both inputs; multiply swaps the inputs; max routes the gradient to the
larger one; a copy, a value used twice, adds up what comes back.  A graph of such gates, here the neuron
``sigma(w1 x1 + w2 x2 + b)``, then needs no further thought: forward, and backward in reverse order.
"""

import argparse

import fastnn
from fastnn.layers import Activation, Add, Layer, Maximum, Multiply

NEURON = {"w1": 2.0, "x1": -1.0, "w2": -3.0, "x2": -2.0, "b": -3.0}
RULES = {  # the gate, its inputs, the upstream gradient, and the rule of the lecture
    "add": (Add, (3.0, 4.0), 2.0, "both get the upstream gradient"),
    "multiply": (Multiply, (2.0, 3.0), 5.0, "upstream times the other input"),
    "max": (Maximum, (4.0, 5.0), 9.0, "the larger input gets it all"),
}


def gate(kind: type[Layer]) -> fastnn.Model:
    """Return a gate with two inputs, x and y."""
    x, y = fastnn.Input((1,), name="x"), fastnn.Input((1,), name="y")
    return fastnn.Model([x, y], kind()([x, y]), dtype="float64")


def copy_gate() -> fastnn.Model:
    """Return the copy gate: one input, two outputs."""
    x = fastnn.Input((1,), name="x")
    return fastnn.Model(x, [Activation("linear", name=name)(x) for name in ("one", "two")], dtype="float64")


def neuron() -> fastnn.Model:
    """Return ``sigma(w1 x1 + w2 x2 + b)``, all five of them inputs."""
    tensors = {name: fastnn.Input((1,), name=name) for name in NEURON}
    w1, x1, w2, x2, b = tensors.values()
    first, second = Multiply(name="w1 x1")([w1, x1]), Multiply(name="w2 x2")([w2, x2])
    total = Add(name="z")([first, second, b])
    return fastnn.Model(list(tensors.values()), Activation("sigmoid", name="f")(total), dtype="float64")


def main() -> None:
    """Print what every gate does, then the neuron forward and backward."""
    print("gate      inputs   output   upstream   gradients   the lecture's rule")
    for name, (kind, (x, y), upstream, rule) in RULES.items():
        model = gate(kind)
        output = model.forward([[[x]], [[y]]])[0, 0]
        dx, dy = (gradient[0, 0] for gradient in model.backward([[upstream]]).values())
        print(f"{name:<10}{x:3.0f},{y:2.0f}{output:9.0f}{upstream:11.0f}{dx:8.0f},{dy:3.0f}   {rule}")
    model = copy_gate()
    one, two = model.forward([[7.0]])
    total = model.backward([[[4.0]], [[2.0]]])["x"][0, 0]
    outputs = f"{one[0, 0]:2.0f},{two[0, 0]:2.0f}"
    print(f"{'copy':<10}     7    {outputs}       4, 2{total:12.0f}   what comes back adds up")

    model = neuron()
    f = model.forward([[[value]] for value in NEURON.values()])[0, 0]
    gradients = model.backward(wrt=["z"])
    slope = f * (1 - f)  # of the sigmoid, and so the gradient at z
    w1, x1, w2, x2, _ = NEURON.values()
    factors = {"w1": x1, "x1": w1, "w2": x2, "x2": w2, "b": 1.0, "z": 1.0}
    print(f"f = sigma(z), z = w1 x1 + w2 x2 + b: {f:.4f}\n       value   df/d. by formula      ours")
    for name, factor in factors.items():
        value, formula = NEURON.get(name, w1 * x1 + w2 * x2 + NEURON["b"]), slope * factor
        print(f"{name:<6}{value:6.1f}{formula:19.4f}{gradients[name][0, 0]:10.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="changes nothing: nothing here takes long")
    parser.parse_args()
    main()
