#!/usr/bin/env python3
"""Stands in for the CUDA libraries that a PyTorch wheel is linked against, so that it starts on a machine without them.

    cuda_stubs.py [--remove] TORCH_LIB_FOLDER

Every missing library (libcudart, libcublas, libcudnn, ...) becomes a shared object of the same name whose functions all return
100, cudaErrorNoDevice. Names and versions are read from the wheel's own libraries: what they leave undefined is what is needed.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

MARK = b"gi stub: no CUDA on this machine"


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(library):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-dW", library))


def undefined(library):
    """{(file or None, version or None): {symbols}} of the names that the library expects from others."""
    owner, file = {}, None
    for line in output("readelf", "-VW", library).splitlines():
        if found := re.search(r"File: (\S+)", line):
            file = found[1]
        elif found := re.search(r"Name: (\S+) +Flags: \S+ +Version: \d+", line):
            owner[found[1]] = file
    names = {}
    for line in output("nm", "-D", "--undefined-only", library).splitlines():
        symbol, _, version = line.split()[-1].partition("@")
        names.setdefault((owner.get(version), version or None), set()).add(symbol)
    return names


def build(target, versions, plain):
    """`versions` {version: symbols}; `plain` symbols without a version."""
    lines = [f'const char gi_stub_mark[] = "{MARK.decode()}";']
    for symbol in sorted(set().union(plain, *versions.values())):
        if re.search(r"Get(Last)?Error(String|Name)$", symbol):
            lines.append(f'const char* {symbol}(void) {{ return "no CUDA on this machine"; }}')
        else:
            lines.append(f"long {symbol}(void) {{ return 100; }}")
    script = [f"{version} {{ global: {' '.join(f'{s};' for s in sorted(symbols))} }};" for version, symbols in versions.items()]
    with tempfile.TemporaryDirectory() as folder:
        source, exports = pathlib.Path(folder, "stub.c"), pathlib.Path(folder, "stub.map")
        source.write_text("\n".join(lines) + "\n")
        exports.write_text("\n".join(script) + "\n")
        command = ["cc", "-shared", "-fPIC", "-fno-builtin", "-w", f"-Wl,-soname,{target.name}", str(source), "-o", str(target)]
        subprocess.run(command + ([f"-Wl,--version-script,{exports}"] if script else []), check=True)


def main(arguments):
    folder = pathlib.Path(arguments[-1])
    if "--remove" in arguments:
        for library in folder.glob("lib*.so.*"):
            if MARK in library.read_bytes():
                library.unlink()
        return
    libraries = [library for library in folder.glob("*.so*") if library.name != "libcaffe2_nvrtc.so"]
    missing = {name for library in libraries for name in needed(library)
               if re.match(r"lib(cu|nccl|nvrtc|nvshmem|nvJitLink|nvToolsExt)", name) and not (folder / name).exists()}
    versions = {name: {} for name in missing}
    plain = set()
    for library in libraries:
        for (file, version), symbols in undefined(library).items():
            if file in missing:
                versions[file].setdefault(version, set()).update(symbols)
            elif version is None:
                plain.update(s for s in symbols if re.match(r"cu[A-Z]|cusparseLt|nccl|nvshmem", s))
    bare = min((name for name in missing if not versions[name]), default=None)  # holds the names that have no version
    for name in sorted(missing):
        build(folder / name, versions[name], plain if name == bare else set())
    print(f"{len(missing)} libraries replaced by stubs: {' '.join(sorted(missing))}")


if __name__ == "__main__":
    main(sys.argv[1:])
