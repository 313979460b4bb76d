"""Lays out a family in a copy of the tree and compiles what is new or was edited."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ["kernels/registry_reference.cpp", "kernels/twin/twin_reference.cpp", "kernels/twin/twin_cpu.cpp",
           "kernels/common/table_cpu.cpp", "engine/ops/twin.cpp", "engine/ops/op_table.cpp", "cases.cpp"]

with tempfile.TemporaryDirectory() as name:
    copy = pathlib.Path(name)
    for folder in ("kernels", "engine"):
        shutil.copytree(ROOT / folder, copy / folder)
    command = [sys.executable, ROOT / "tools/dev/new_op.py", "twin", copy]
    subprocess.run(command, check=True)
    (copy / "cases.cpp").write_text('#include "kernels/all_cases.h"\nauto cases = gi::kernels::twin_cases();\n')
    for source in SOURCES:
        subprocess.run([os.environ.get("CXX", "g++"), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-psabi",
                        "-Wno-missing-field-initializers", "-DGI_ISA=portable", "-DGI_ISA_IS_portable=1", f"-I{copy}", copy / source],
                       check=True)
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "there is a family twin already" in again.stderr, again
