"""Checks the certificate accumulators.json against weights.npz: python3 check_certificate.py [FOLDER of both]

Needs Python 3.8 and nothing else. For a row of integer weights w, a start value b and inputs of N bits in [low, high],
the sums lie between b + sum(min(w*low, w*high)) and b + sum(max(w*low, w*high)), and both are reached. If these two fit an
accumulator, so does the result of every order of additions, as two's complement wraps. All that the certificate states
is computed anew here, of the weights and the inputs' ranges alone. Ends with status 1 where anything differs.
"""

import array
import ast
import json
import sys
import zipfile
from pathlib import Path


def matrix(content):
    """The rows of a two-dimensional array of integers in NumPy's file format."""
    start = 10 if content[6] == 1 else 12
    end = start + int.from_bytes(content[8:start], "little")
    head = ast.literal_eval(content[start:end].decode("latin-1"))
    values = array.array({"|i1": "b", "<i2": "h", "<i4": "i", "<i8": "q"}[head["descr"]], content[end:])
    rows, columns = head["shape"]
    return [values[row * columns : (row + 1) * columns].tolist() for row in range(rows)]


def signed_bits(low, high):
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


def check(layer, weights, starts):
    """What is wrong with the entry `layer`: (what, stated, right) each."""
    (low, high), n, m = layer["input_range"], layer["N"], layer["M"]
    signed, claimed, zeros = low < 0, layer["P_claimed"], sum(row.count(0) for row in weights)
    ups = [b + sum(w * (high if w > 0 else low) for w in row) for row, b in zip(weights, starts)]
    downs = [b + sum(w * (low if w > 0 else high) for w in row) for row, b in zip(weights, starts)]
    norms = [sum(map(abs, row)) for row in weights]
    needed = [signed_bits(*ends) for ends in zip(downs, ups)]
    given = layer.get("bits_of_rows", [layer["bits_used"]] * layer["rows"])
    worst = (len(weights[0]) << (m - 1 + n - signed)) + (any(starts) and 1 << max(map(abs, starts)).bit_length())
    l1 = [(norm << (n - signed)) + abs(b) for norm, b in zip(norms, starts)]
    balanced = [norm * ((1 << n) - 1) // 2 + abs(b) for norm, b in zip(norms, starts)]
    yield "K, rows", [layer["K"], layer["rows"]], [len(weights[0]), len(weights)]
    yield "inputs fit N bits", True, -(signed << (n - 1)) <= low <= high < 1 << (n - signed)
    yield "weights fit M bits", True, all(-(1 << (m - 1)) <= w < 1 << (m - 1) for row in weights for w in row)
    yield "range", layer["range"], [min(downs), max(ups)]
    yield "bits: exact", layer["bits"]["exact"], max(needed)
    yield "bits: l1", layer["bits"]["l1"], signed_bits(0, max(l1))
    yield "bits: a2q_plus", layer["bits"]["a2q_plus"], None if any(map(sum, weights)) else signed_bits(0, max(balanced))
    yield "bits: datatype", layer["bits"]["datatype"], signed_bits(0, worst)
    yield "every row has the bits it needs", True, len(given) == len(needed) and all(map(int.__ge__, given, needed))
    yield "bits_used", layer["bits_used"], max(given)
    yield "largest_l1_norm", layer["largest_l1_norm"], max(norms)
    yield "l1_limit", layer["l1_limit"], None if claimed is None else ((1 << (claimed - 1)) - 1) >> (n - signed)
    yield "zeros, weights", [layer["zeros"], layer["weights"]], [zeros, len(weights) * len(weights[0])]
    yield "sparsity", layer["sparsity"], round(zeros / (len(weights) * len(weights[0])), 4)
    for end, value in (("lowest", min(downs)), ("highest", max(ups))):
        witness = layer["witnesses"][end]
        row, at_high = weights[witness["channel"]], int(witness["at_high"], 16)
        total = starts[witness["channel"]] + sum(w * (high if at_high >> i & 1 else low) for i, w in enumerate(row))
        yield f"witness of the {end} sum", [witness["sum"], total], [value, value]


def main(folder):
    """Prints a line a layer and what is wrong with it; gives the number of statements that are wrong."""
    layers = json.loads((folder / "accumulators.json").read_text(encoding="utf-8"))["layers"]
    with zipfile.ZipFile(folder / "weights.npz") as archive:
        arrays = {name[: -len(".npy")]: matrix(archive.read(name)) for name in archive.namelist()}
    wrong = 0
    for layer in layers:
        starts = [b for row in arrays.pop(layer["layer"] + ".bias", [[0]] * layer["rows"]) for b in row]
        facts = check(layer, arrays.pop(layer["layer"]), starts)
        differences = [
            f"\n    WRONG {what}: {stated}, by the weights {right}" for what, stated, right in facts if stated != right
        ]
        print(f"{layer['layer']}: {layer['range']} in {layer['bits_used']} bits{''.join(differences)}")
        wrong += len(differences)
    for name in arrays:
        print(f"WRONG {name}: weights of a layer that the certificate leaves out")
    wrong += len(arrays)
    print(f"{len(layers)} layers: {f'{wrong} statements are WRONG' if wrong else 'no sum can leave its accumulator'}")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent) else 0)
