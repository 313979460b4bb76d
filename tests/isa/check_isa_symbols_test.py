"""The check of the kernels' object files must find what it is for."""
import os
import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(__file__).resolve().parents[2] / "tools/dev/check_isa_symbols.py"
SHARED = "inline int twice(int x) {{ return 2 * x; }}\nint {isa}_entry(int x) {{ return twice(x); }}"
APART = "namespace {isa} {{ inline int twice(int x) {{ return 2 * x; }} }}\nint {isa}_entry(int x) {{ return {isa}::twice(x); }}"


def check(folder, sources):
    builds = []
    for isa, text in sources.items():
        source, binary = folder / f"{isa}.cpp", folder / f"{isa}.o"
        source.write_text(text)
        subprocess.run([os.environ.get("CXX", "g++"), "-O0", "-c", source, "-o", binary], check=True)
        builds.append(f"{isa}={binary}")
    return subprocess.run([sys.executable, CHECK, *builds], capture_output=True, text=True)


def main():
    isas = ("portable", "avx2", "avx512")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bad = check(folder, {isa: SHARED.format(isa=isa) for isa in isas})
        assert bad.returncode == 1 and "avx2: twice(int)" in bad.stdout, bad
        one = check(folder, {isa: (SHARED if isa == "avx2" else APART).format(isa=isa) for isa in isas})
        assert one.returncode == 1 and "not named after its instruction set" in one.stdout, one
        good = check(folder, {isa: APART.format(isa=isa) for isa in isas})
        assert good.returncode == 0, good


if __name__ == "__main__":
    main()
