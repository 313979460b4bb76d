# Sourced by tools/test.sh and tools/dev/check.sh. `stage PRESET "TARGETS" [ctest options]` configures, builds (all where
# TARGETS is empty) and tests. When the script ends, ctest's closing lines of all stages are shown together.
summaries=()
trap 'status=$?; printf "\n"; [ ${#summaries[@]} -eq 0 ] || printf "%s\n" "${summaries[@]}"; exit $status' EXIT

stage() {
  local preset=$1 targets=() log=build/$1/ctest.log status=0
  read -r -a targets <<<"$2"
  shift 2
  printf '\n== %s\n' "$preset"
  cmake --preset "$preset" -DGI_TESTS=ON >/dev/null
  cmake --build --preset "$preset" ${targets[@]+--target "${targets[@]}"}
  ctest --preset "$preset" --parallel "$(nproc)" --no-tests=error "$@" 2>&1 | tee "$log" || status=$?
  summaries+=("$preset: $(grep -E 'tests passed, .* tests failed out of' "$log" || echo 'no test was run')")
  return $status
}
