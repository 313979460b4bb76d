#!/usr/bin/env python3
"""Lays out a new family of ops: tools/dev/new_op.py NAME [ROOT]

Writes kernels/NAME/ and engine/ops/NAME.{h,cpp} for one op y = x of that name, and enters it in every list. What it writes
compiles and passes the tests over all ops; change the formula, and they tell which piece does not follow it yet.
"""
import pathlib
import re
import sys

FILES = {
    "kernels/NAME/NAME.h": """\
// What the family computes, and for what.
//
//   NAME(x)   y = x
//
// Inputs dense from axis 1 on. No attributes.
#pragma once
""",
    "kernels/NAME/NAME_reference.cpp": """\
#include "kernels/NAME/NAME.h"

#include "kernels/api/kernel.h"
#include "kernels/common/strided.h"

namespace gi::kernels {

void NAME_reference(const Arguments& args) {
  for_each_index(args.out[0], [x = elements(args.in[0]), y = elements(args.out[0])](const Index& i) { y[i] = x[i]; });
}

}  // namespace gi::kernels
""",
    "kernels/NAME/NAME_cases.h": """\
// Shapes NAME is tried on.
#pragma once

#include "kernels/NAME/NAME.h"
#include "kernels/common/make_case.h"

namespace gi::kernels {

inline std::vector<Case> NAME_cases() {
  std::vector<Case> cases;
  for (const Operand& x : {operand({1, 1, 1, 1}), operand({2, 3, 5, 7}), operand({1, 3, 32, 32})})
    cases.push_back(make_case("NAME", "image", NoAttrs{}, {x}, x));
  return cases;
}

}  // namespace gi::kernels
""",
    "kernels/NAME/NAME_cpu.cpp": """\
#include "kernels/NAME/NAME.h"

#include "kernels/common/steps.h"

namespace gi::kernels::GI_ISA {
namespace {

template <class Real>
void NAME(const Arguments& args) {
  const ConstView& x = args.in.data()[0];
  const View& y = args.out.data()[0];
  for (std::int64_t t = 0; t < y.dims[0]; ++t)
    for (std::int64_t i = 0; i < numbers_per_block(y); ++i) block_of<Real>(y, t)[i] = block_of<Real>(x, t)[i];
}

}  // namespace

std::span<const Kernel> NAME_kernels() {
  static constexpr Kernel kTable[] = {GI_KERNEL_VARIANTS("NAME", "plain", declines_unless_plain, no_scratch, NAME, one_part)};
  return kTable;
}

}  // namespace gi::kernels::GI_ISA
""",
    "engine/ops/NAME.h": """\
// What the ops are for.   Semantics kernels/NAME/NAME.h   Tests tests/ops/
#pragma once

#include "engine/graph/graph.h"

namespace gi {

/// y = x.
Value NAME(Value x);

}  // namespace gi
""",
    "engine/ops/NAME.cpp": """\
#include "engine/ops/NAME.h"

#include "engine/ops/op_tables.h"

namespace gi {

Value NAME(Value x) { return x.graph->apply(op("NAME"), std::span(&x, 1)); }

namespace ops {
namespace {

Shape infer_NAME(const Attrs&, std::span<const Shape> in) { return in[0]; }
Cotangents vjp_NAME(const VjpArgs& a) { return {a.cotangent}; }

}  // namespace

std::vector<OpDef> NAME_ops() {
  return {{.name = "NAME", .infer = infer_NAME, .vjp = vjp_NAME, .linear_in = 1, .differentiable_in = 1}};
}

}  // namespace ops
}  // namespace gi
""",
}

# file, what is looked for, what takes its place
ENTRIES = [
    ("kernels/registry_reference.cpp", r"(#define GI_REFERENCES\(X\)(?:.*\\\n)+.*)", r"\1 X(NAME)"),
    ("kernels/all_cases.h", r'((?:#include "kernels/.*_cases\.h"\n)+)', r'\1#include "kernels/NAME/NAME_cases.h"\n'),
    ("kernels/all_cases.h", r"(_cases\(\))\}\)", r"\1, NAME_cases()})"),
    ("kernels/common/families.h", r"\n(\n\}  // namespace)", r"\nstd::span<const Kernel> NAME_kernels();\n\1"),
    ("kernels/common/table_cpu.cpp", r"((?:    add\(\w+_kernels\(\)\);\n)+)", r"\1    add(NAME_kernels());\n"),
    ("engine/ops/op_tables.h", r"\n(\n\}  // namespace)", r"\nstd::vector<OpDef> NAME_ops();\n\1"),
    ("engine/ops/op_table.cpp", r"(_ops\(\))\}\)", r"\1, ops::NAME_ops()})"),
]


def main():
    if len(sys.argv) < 2 or not re.fullmatch(r"[a-z][a-z0-9_]*", sys.argv[1]):
        sys.exit("usage: tools/dev/new_op.py NAME [ROOT], the name in lower_case")
    name = sys.argv[1]
    root = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).resolve().parents[2]
    if (root / "kernels" / name).exists() or (root / f"engine/ops/{name}.h").exists():
        sys.exit(f"new_op.py: error: there is a family {name} already")
    edited = {}
    for path, pattern, replacement in ENTRIES:
        text, count = re.subn(pattern, replacement.replace("NAME", name), edited.get(path) or (root / path).read_text(), count=1)
        if count != 1:
            sys.exit(f"new_op.py: error: {path}: found no place for {name}; nothing was written")
        edited[path] = text
    for path, text in FILES.items():
        edited[path.replace("NAME", name)] = text.replace("NAME", name)
    for path, text in edited.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        print(path)
    print("Run tools/dev/format.sh, then the tests: ctest --preset release -L 'parity|grad|adjoint'")


if __name__ == "__main__":
    main()
