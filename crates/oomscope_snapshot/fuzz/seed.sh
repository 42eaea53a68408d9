#!/bin/sh
# Seeds for the targets that take a file: the recordings of the tests, whole and cut, and two
# hand-written JSON files.
set -eu
cd "$(dirname "$0")"
for target in read load; do
    mkdir -p "corpus/$target"
    for file in ../tests/data/*.pickle; do
        name=$(basename "$file" .pickle)
        cp "$file" "corpus/$target/$name"
        head -c 3000 "$file" > "corpus/$target/$name-cut"
    done
    printf '{"segments": [], "device_traces": [[{"action": "alloc", "addr": 512, "size": 9}]]}' \
        > "corpus/$target/small.json"
    printf '{"device_traces": [[{"action": "oom", "device_free": 1, "size": 9, "frames": [{"filename": "a.py", "line": 1, "name": "f"}]}]], "external_annotations": [{"stage": "END", "name": "s"}]}' \
        > "corpus/$target/labelled.json"
done
mkdir -p corpus/opcodes
printf '\0\050' > corpus/opcodes/begin
