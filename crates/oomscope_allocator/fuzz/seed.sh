#!/bin/sh
# Seeds: settings of every kind, behind the byte that picks a release.
set -eu
cd "$(dirname "$0")"
mkdir -p corpus/settings corpus/replay
number=0
for text in 'expandable_segments:True,max_split_size_mb:128' \
    'roundup_power2_divisions:[256:1,512:2,1024:4,>:8]' 'garbage_collection_threshold:0.8' \
    'backend:cudaMallocAsync' 'per_process_memory_fraction:0.5,large_segment_size_mb:64' \
    'max_non_split_rounding_mb:64,pinned_num_register_threads:8'; do
    number=$((number + 1))
    printf '\005%s' "$text" > "corpus/settings/$number"
done
