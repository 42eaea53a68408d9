#!/usr/bin/env bash
# The three commands of README.md on a pretend GPU of 1 GiB: PyTorch's own allocator runs, the device
# behind it is made up. Changes a copy of train.py, in a temporary folder.
# `OOMSCOPE` names the binary. PyTorch is installed once, below the user's cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
oomscope=${OOMSCOPE:-oomscope}

if [ -z "${OOMSCOPE_VGPU_RUN:-}" ]; then
  eval "$("$here/../../.ci/torch" "${XDG_CACHE_HOME:-$HOME/.cache}/oomscope-ci/torch")"
fi
[ -n "${OOMSCOPE_VGPU_RUN:-}" ] || { echo "without_gpu.sh: nothing was run" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$OOMSCOPE_VGPU_RUN" "$OOMSCOPE_TORCH_PYTHON" >"$work/bin/python"
chmod +x "$work/bin/python"
export PATH="$work/bin:$PATH" VGPU_TOTAL_MB=1024
cp "$here/train.py" "$work"
cd "$work"

show() { printf '\n$ oomscope %s\n' "$*" >&2; "$oomscope" "$@"; }

# The exit code is the program's own: it dies.
if show run -- python train.py; then
  echo "without_gpu.sh: train.py was to run out of memory" >&2
  exit 1
fi
show fix last --yes
show verify -- python train.py
