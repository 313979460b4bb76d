# Sourced by tools/test.sh and tools/dev/check.sh. `stage PRESET [ctest options]` configures, builds and tests; at the end
# of the script ctest's closing lines of all stages are shown together.
summaries=()
trap 'printf "\n"; printf "%s\n" "${summaries[@]}"' EXIT

stage() {
  local preset=$1 log status=0
  shift
  printf '\n== %s\n' "$preset"
  cmake --preset "$preset" -DGI_TESTS=ON >/dev/null
  cmake --build --preset "$preset"
  log=build/$preset/ctest.log
  ctest --preset "$preset" --parallel "$(nproc)" --no-tests=error "$@" 2>&1 | tee "$log" || status=$?
  summaries+=("$preset: $(grep -E 'tests passed, .* tests failed out of' "$log" || echo 'no test was run')")
  return $status
}
