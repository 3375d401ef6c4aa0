"""Checks the certificate accumulators.json against weights.npz: python3 check_certificate.py [FOLDER of both]

Needs Python 3.8 and nothing else. For a row of integer weights w, a start value b and inputs of N bits in [low, high],
the sums lie between b + sum(min(w*low, w*high)) and b + sum(max(w*low, w*high)), and both are reached. If these two fit an
accumulator, so does the result of every order of additions, as two's complement wraps.

Taken as they stand in the certificate: each layer's names (layer, source), input_range, policy and P_claimed, and
per_pe. All else in a layer's entry is computed anew here, of these and the weights, and has to be equal. The widths are
those of the policy; they, the n of a policy fixed:n and P_claimed have to hold every sum. Not checked: the policy of
the build, as a layer may have another; and whether the hardware holds these weights and its inputs keep to their range,
which simulation shows. Ends with status 1 where anything differs, or cannot be read.
"""

import ast
import json
import struct
import sys
import zipfile
from pathlib import Path


def matrix(content):
    """The rows of a two-dimensional array of integers in NumPy's file format."""
    start = 10 if content[6] == 1 else 12
    end = start + int.from_bytes(content[8:start], "little")
    head = ast.literal_eval(content[start:end].decode("latin-1"))
    if head["fortran_order"]:
        raise ValueError("an array of weights.npz is in Fortran order, column by column")
    rows, columns = head["shape"]
    kind = {"|i1": "b", "<i2": "h", "<i4": "i", "<i8": "q"}[head["descr"]]
    values = struct.unpack(f"<{rows * columns}{kind}", content[end:])
    return [values[row * columns : (row + 1) * columns] for row in range(rows)]


def signed_bits(low, high):
    """The fewest bits, two's complement, that hold `low` to `high`."""
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


def packings(weights, low, high, n, bits, port):
    """The lanes of as many rows as a DSP's word holds: 48 bits of sums, `port` of weights side by side, 18 of the inputs of one
    pixel or two. Bits are `bits`, or as many as there is room for. Then those of two and three columns of the kernel of a row
    and two neighbouring pixels, a lane for each output that these reach; bits are `bits`, and 0 is an input.

    A weight is stored less 1 where the one below it is negative. It has to fit what its row has of the word, but in the last
    one, the port; so has an input of `n` bits."""
    lowest, highest = min(map(min, weights)), max(map(max, weights))

    def fits(rows, pixels, lane, row, lanes):
        stored, inputs = [signed_bits(lowest, highest)], sum(1 << lane * pixel for pixel in range(pixels))
        stored += [signed_bits(lowest - 1, highest)] * (rows - 1)
        return (
            lanes * lane <= 48
            and (rows - 1) * row + stored[-1] <= port
            and max([1] + stored[:-1]) <= row
            and signed_bits(low * inputs, high * inputs) <= 18
            and (pixels == 1 or n < lane)
        )

    found = []
    for pixels in (1, 2):
        for rows in range(1, 49):
            lane = next(
                (lane for lane in range(bits, 0, -1) if fits(rows, pixels, lane, lane * pixels, rows * pixels)), 0
            )
            if not lane:
                break
            columns = len(weights[0]) if lane == bits else min(neighbours(row, low, high, lane) for row in weights)
            if not columns:
                break
            offsets = [lane * index for index in range(rows * pixels)]
            found.append({"offsets": offsets, "pixels": pixels, "bits": lane, "columns": columns, "taps": 1})
    for taps in (2, 3):
        if low <= 0 <= high and fits(taps, 2, bits, bits, taps + 1):
            offsets = [bits * index for index in range(taps + 1)]
            found.append({"offsets": offsets, "pixels": 2, "bits": bits, "columns": len(weights[0]), "taps": taps})
    return found


def neighbours(row, low, high, bits):
    """The most columns of which as many neighbours as that, or fewer, add up to what `bits` hold, of any inputs or of none."""
    half, most, begin, down, up = 1 << bits >> 1, len(row), 0, 0, 0
    downs, ups = [min(w * low, w * high, 0) for w in row], [max(w * low, w * high, 0) for w in row]
    for end in range(len(row)):
        down, up = down + downs[end], up + ups[end]
        while down < -half or up >= half:
            most = min(most, end - begin)
            down, up, begin = down - downs[begin], up - ups[begin], begin + 1
    return most


def witness(weights, sums, extreme, sign):
    """The first row that reaches the sum `extreme`, and which of its inputs are at their largest then."""
    channel = sums.index(extreme)
    at_high = sum(1 << i for i, w in enumerate(weights[channel]) if w * sign > 0)
    return {"channel": channel, "sum": extreme, "at_high": f"{at_high:x}"}


def entry(layer, weights, starts, per_pe):
    """The entry `layer` as it has to be."""
    (low, high), claimed, policy = sorted(layer["input_range"]), layer["P_claimed"], layer["policy"]
    rows, k, zeros, signed = len(weights), len(weights[0]), sum(row.count(0) for row in weights), low < 0
    n = max(signed_bits(low, high) - (not signed), 1)
    m = signed_bits(min(map(min, weights)), max(map(max, weights)))
    downs = [b + sum(min(w * low, w * high) for w in row) for row, b in zip(weights, starts)]
    ups = [b + sum(max(w * low, w * high) for w in row) for row, b in zip(weights, starts)]
    lowest, highest, norms = min(downs), max(ups), [sum(map(abs, row)) for row in weights]
    worst = (k << (m - 1 + n - signed)) + (any(starts) and 1 << max(map(abs, starts)).bit_length())
    balanced = [signed_bits(0, norm // 2 * ((1 << n) - 1) + abs(b)) for norm, b in zip(norms, starts)]
    exact = [signed_bits(*ends) for ends in zip(downs, ups)]
    l1 = [signed_bits(0, (norm << (n - signed)) + abs(b)) for norm, b in zip(norms, starts)]
    asked = {"exact": exact, "l1": l1, "datatype": [signed_bits(0, worst)] * rows}
    asked.update({} if any(map(sum, weights)) else {"a2q_plus": balanced})
    bits = {"a2q_plus": None, **{bound: max(widths) for bound, widths in asked.items()}}
    asked["target"] = exact if claimed is None else [claimed] * rows
    if policy.startswith("fixed:"):
        fixed = max(int(policy[len("fixed:") :]), *exact)
        policy = f"fixed:{fixed}"
        asked[policy] = [fixed] * rows
    widths = asked[policy]
    widths = [max(pair) for pair in zip(widths if per_pe else [max(widths)] * rows, exact)]
    right = {"layer": layer["layer"], "source": layer["source"], "policy": policy}
    right.update(K=k, N=n, M=m, rows=rows, input_range=[low, high], input_signed=signed, range=[lowest, highest])
    right.update(bits=bits, bits_used=max(widths), **({"bits_of_rows": widths} if per_pe else {}))
    right.update(zeros=zeros, weights=rows * k, sparsity=round(zeros / (rows * k), 4), largest_l1_norm=max(norms))
    right["P_claimed"] = None if claimed is None else max(claimed, *exact)
    right["l1_limit"] = None if claimed is None else ((1 << (claimed - 1)) - 1) >> (n - signed)
    given = (weights, low, high, n, max(exact))
    right["dsp_packings"] = {name: packings(*given, port) for name, port in (("DSP48E2", 27), ("DSP48E1", 25))}
    right["witnesses"] = {"lowest": witness(weights, downs, lowest, -1), "highest": witness(weights, ups, highest, 1)}
    return right


def once(pairs):
    """The object of these keys and values, no key of which stands there twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"accumulators.json has a key twice among {', '.join(key for key, _ in pairs)}")
    return dict(pairs)


def main(folder):
    """Prints a line a layer and what is wrong with it; gives whether anything is."""
    certificate = json.loads((folder / "accumulators.json").read_text(encoding="utf-8"), object_pairs_hook=once)
    wrong = 0
    with zipfile.ZipFile(folder / "weights.npz") as archive:
        arrays = {name[: -len(".npy")]: matrix(archive.read(name)) for name in archive.namelist()}
    for layer in certificate["layers"]:
        name, weights = layer["layer"], arrays.pop(layer["layer"])
        starts = [b for row in arrays.pop(f"{name}.bias", [[0]] * len(weights)) for b in row]
        if len(starts) != len(weights):
            raise ValueError(f"{name} has {len(weights)} rows and {len(starts)} start values")
        right = entry(layer, weights, starts, certificate["per_pe"])
        print(f"{name}: {right['range']} in {right['bits_used']} bits")
        for key in {**right, **layer}:
            stated, computed = layer.get(key, "absent"), right.get(key, "absent")
            if stated != computed:
                print(f"    WRONG {key}: {stated}, by the weights {computed}")
                wrong += 1
    if arrays or not certificate["layers"]:
        raise ValueError(f"no entry for {', '.join(arrays) or 'any layer: nothing is proven'}")
    result = f"WRONG statements: {wrong}" if wrong else "no sum can leave its accumulator"
    print(f"{len(certificate['layers'])} layers: {result}")
    return wrong > 0


if __name__ == "__main__":
    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.exit(print(__doc__))
    try:
        sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
    except KeyError as error:
        sys.exit(f"The certificate cannot be checked: unknown, missing or there twice: {error}")
    except Exception as error:  # noqa: BLE001  the net, for whoever runs this
        sys.exit(f"The certificate cannot be checked: {type(error).__name__}: {error}")
