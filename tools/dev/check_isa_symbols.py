#!/usr/bin/env python3
"""Shows that no inline function is shared between the builds of the kernels for different instruction sets.

    check_isa_symbols.py portable=a.o,b.o avx2=a.o,b.o avx512=...

The linker keeps one copy of a weak or unique symbol for the whole program. Were such a symbol in the AVX-512 objects, its
copy could be kept and run on every processor. So each of them must carry its instruction set in its name, but for those of
the portable build, which may run anywhere; and no two builds may share one.
"""
import subprocess
import sys

# Data the compiler adds to every object with exception tables; no code.
HARMLESS = {"DW.ref.__gxx_personality_v0"}


def mergeable_symbols(objects):
    """Defined weak and unique symbols: name -> the object that has it."""
    found = {}
    for path in objects:
        lines = subprocess.run(["nm", "--defined-only", "--format=posix", path], check=True, capture_output=True, text=True).stdout
        for name, kind, *_ in (line.split() for line in lines.splitlines()):
            if kind in "VWvwu" and name not in HARMLESS:
                found[name] = path
    return found


def readable(name):
    return subprocess.run(["c++filt", name], check=True, capture_output=True, text=True).stdout.strip()


def faults(builds):
    symbols = {isa: mergeable_symbols(objects) for isa, objects in builds.items()}
    for isa, names in symbols.items():
        for name, path in sorted(names.items()):
            others = [other for other in symbols if other != isa and name in symbols[other]]
            if others or (isa != "portable" and isa not in name):
                where = f"also in {', '.join(others)}" if others else "not named after its instruction set"
                yield f"{isa}: {readable(name)} ({path}): {where}"
    if not all(builds.values()):
        yield "a build without objects: nothing was looked at"


def main():
    builds = {isa: [o for o in objects.split(",") if o] for isa, objects in (argument.split("=", 1) for argument in sys.argv[1:])}
    found = list(faults(builds))
    print("\n".join(found))
    print(f"check_isa_symbols: {len(found)} shared symbols in {', '.join(f'{len(o)} objects of {isa}' for isa, o in builds.items())}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
