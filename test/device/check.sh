#!/usr/bin/env bash
# The check for a machine with a GPU, without network and without Node. Two steps, so that each stays under ten minutes:
#
#   test/device/check.sh pack            here: the patched sources into .cache/device/source (what the other machine needs beside the repository)
#   test/device/check.sh build           there: builds test-act and check-models; CUDA where nvcc is, Vulkan where glslc is, else the CPU alone
#   test/device/check.sh run [SECONDS]   there: runs them (480 s at most unless said otherwise), prints one table, writes $OUT/*.json
#
# Without a GPU `run` still does everything once, on the CPU, with the small models: it shows that the check itself works.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/.cache/device
out=${OUT:-$work}

case ${1:-} in
pack)
    from=${2:-.cache/native/patched/node-llama-cpp/llama/llama.cpp}
    [ -f "$from/src/llama-act.cpp" ] || { echo "There are no patched sources at $from: run 'node scripts/run.mjs native' first."; exit 1; }
    rm -rf "$work/source" && mkdir -p "$work/source"
    # without the backends that are not built here, and without git's objects
    tar -C "$from" --exclude=ggml-sycl --exclude=ggml-cann --exclude=ggml-opencl --exclude=ggml-hexagon --exclude=ggml-openvino --exclude=ggml-zdnn \
        --exclude=ggml-webgpu --exclude=ggml-metal -cf - CMakeLists.txt cmake include src ggml $(cd "$from" && ls -d vendor licenses 2>/dev/null) | tar -C "$work/source" -xf -
    du -sh "$work/source"
    ;;
build)
    source=$work/source
    [ -d "$source" ] || { echo "Run '$0 pack' first, where the sources are."; exit 1; }
    options=(-DACT_PATCHED="$source" -DACT_MODELS=ON -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_BUILD_NUMBER=0)
    nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
    if [ -n "$nvcc" ]; then
        options+=(-DGGML_CUDA=ON -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_ARCHITECTURES="${ACT_CUDA_ARCH:-90}")
    elif command -v glslc > /dev/null; then
        options+=(-DGGML_VULKAN=ON)
    fi
    command -v ninja > /dev/null && options+=(-G Ninja)
    command -v ccache > /dev/null && options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    cmake -S test/device -B "$work/build" "${options[@]}" ${ACT_CMAKE:-} > "$work/configure.log" || { tail -20 "$work/configure.log"; exit 1; }
    # test-act first: if time runs out before the models' program, the op has been checked
    time cmake --build "$work/build" --parallel "$(nproc)" --target test-act > "$work/build.log" || { tail -20 "$work/build.log"; exit 1; }
    time cmake --build "$work/build" --parallel "$(nproc)" --target check-models >> "$work/build.log" || { tail -20 "$work/build.log"; exit 1; }
    ;;
run)
    seconds=${2:-480} begin=$SECONDS failed=0
    mkdir -p "$out" "$work"
    program() { ls "$work/build/$1" "$work/build/bin/$1" 2>/dev/null | head -1; }
    gpu=no; nvidia-smi > /dev/null 2>&1 && gpu=yes
    large=--large models=tiny,135M-f16,1.5B-q4,7B-q4,1.5B-f16
    [ $gpu = yes ] || { large= models=tiny; }
    models=${ACT_CHECK_MODELS:-$models}
    [ $gpu = no ] || nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    echo "== the op"
    timeout "$seconds" "$(program test-act)" $large --json "$out/test-act.json" || failed=1
    if [ $gpu = yes ] && command -v compute-sanitizer > /dev/null; then
        echo "== memory errors"
        timeout 60 compute-sanitizer --error-exitcode 9 "$(program test-act)" --only "33 rows of 65" | tail -3 || failed=1
    fi
    echo "== models"
    left=$((seconds - (SECONDS - begin)))
    timeout $((left + 60)) "$(program check-models)" --models "$models" --folder "$work" --seconds "$left" --json "$out/check-models.json" || failed=1
    echo "ended after $((SECONDS - begin)) s; results in $out"
    exit $failed
    ;;
*)
    sed -n '2,9p' "$0"
    exit 2
    ;;
esac
