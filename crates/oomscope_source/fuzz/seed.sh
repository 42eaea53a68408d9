#!/bin/sh
# Seeds: the code blocks of the rules' pages, behind the byte that picks the kind of input.
set -eu
cd "$(dirname "$0")"
mkdir -p corpus/check
for page in ../src/rules/*/*.md; do
    name=$(basename "$page" .md)
    awk -v out="corpus/check/$name" '
        /^```python/ { n++; file = out "-" n; printf "\003" > file; next }
        /^```/ { file = ""; next }
        file != "" { print >> file }' "$page"
done
