from __future__ import annotations

from pipeline.tools.rtlil import merge_equal_modules

LEAF = """module \\leaf${path}
  attribute \\src "leaf.sv:{line}"
  wire input 1 \\a
  wire $procmux${number}_Y
  cell $not $procmux${number}
    parameter \\Y_WIDTH {width}
    connect \\A \\a
    connect \\Y $procmux${number}_Y
  end
end
"""

PARENT = """attribute \\top 1
module \\top
  wire \\a
  cell \\leaf$top.x \\x
    connect \\a \\a
  end
  cell \\leaf$top.y \\y
    connect \\a \\a
  end
end
"""


def design(**second: int) -> str:
    first = {"path": "top.x", "line": 1, "number": 7, "width": 1}
    return "autoidx 9\n" + PARENT + LEAF.format(**first) + LEAF.format(**{**first, "path": "top.y", **second})


def test_equal_modules_become_one_with_two_instances():
    merged = merge_equal_modules(design(line=2, number=31))
    assert merged.count("\nmodule ") == 2
    assert "cell \\leaf$top.x \\x" in merged and "cell \\leaf$top.x \\y" in merged
    assert "leaf$top.y" not in merged
    assert merged.startswith("autoidx 9\n") and "attribute \\top 1\nmodule \\top\n" in merged


def test_modules_that_differ_stay_apart():
    merged = merge_equal_modules(design(width=2))
    assert merged.count("\nmodule ") == 3
    assert "cell \\leaf$top.y \\y" in merged


def test_generated_numbers_are_told_apart_by_their_stem():
    one = "module \\a\n  wire $x$3\n  wire $y$3\n  connect $x$3 $y$3\nend\n"
    same = "module \\b\n  wire $x$8\n  wire $y$5\n  connect $x$8 $y$5\nend\n"
    swapped = "module \\c\n  wire $x$8\n  wire $y$5\n  connect $y$5 $x$8\nend\n"
    merged = merge_equal_modules(one + same + swapped)
    assert [name for name in "abc" if f"module \\{name}\n" in merged] == ["a", "c"]


def test_parents_of_merged_modules_are_merged_too():
    def branch(name: str) -> str:
        leaf = f"module \\leaf${name}\n  wire \\q\nend\n"
        return f"module \\branch${name}\n  cell \\leaf${name} \\u\n  end\nend\n" + leaf

    top = "attribute \\top 1\nmodule \\top\n  cell \\branch$1x \\a\n  end\n  cell \\branch$2x \\b\n  end\nend\n"
    merged = merge_equal_modules(top + branch("1x") + branch("2x"))
    assert merged.count("module \\") == 3


def test_parents_of_modules_that_differ_stay_apart():
    def branch(name: str, width: int) -> str:
        leaf = f"module \\leaf${name}\n  wire width {width} \\q\nend\n"
        return f"module \\branch${name}\n  cell \\leaf${name} \\u\n  end\nend\n" + leaf

    cells = "".join(f"  cell \\branch${i} \\u{i}\n  end\n" for i in range(3))
    top = f"attribute \\top 1\nmodule \\top\n{cells}end\n"
    merged = merge_equal_modules(top + branch("0", 1) + branch("1", 2) + branch("2", 1))
    assert [line.split()[1] for line in merged.splitlines() if line.startswith("  cell \\branch")] == [
        f"\\branch${i}" for i in (0, 1, 0)
    ]
    assert merged.count("module \\") == 1 + 2 + 2


def test_of_equal_modules_the_one_whose_instance_comes_first_is_kept():
    leaves = "".join(f"module \\leaf${i}\n  wire \\q\nend\n" for i in range(9))
    cells = "".join(f"  cell \\leaf${i} \\u{i}\n  end\n" for i in (4, 7, 1, 0, 8, 2, 3, 5, 6))
    merged = merge_equal_modules(f"attribute \\top 1\nmodule \\top\n{cells}end\n{leaves}")
    assert merged.count("  cell \\leaf$4 ") == 9 and merged.count("module \\leaf$") == 1
