#!/usr/bin/env bash
# mini Make-A-Scene, from lists of pairs to a bundle that draws:
#
#   run.sh OUT Train_GCC-training.tsv cc12m.tsv   captions TAB urls, or urls TAB captions
#   run.sh --plan [--machine 8xH200]              disk, hours and memory for 14M pairs; does nothing
#
# Each step goes on where it was stopped, so the same command again continues. Where there are tars
# in OUT/pairs already, nothing is downloaded; else img2dataset does it (pipx install img2dataset).
# Set in the environment:
#   ANNOTATORS  a file of annotators, one a line, as `mas-fast data prepare --annotator` takes them;
#               without it, the scenes have to be in the pairs
#   MINDALLE    minDALL-E's unpacked folder, whose picture tokenizer is taken (CC BY-NC-SA weights)
#   VQ_IMG      or else a config of `mas-fast train vq-img`
#   VQ_SEG, GPT configs, or names of some, in place of those here
#   LAUNCH      starts training in several processes: "torchrun --nproc-per-node 8 --no-python"
#   SIZE, VOCAB, LENGTH of pictures, and of captions; DEVICE, WORKERS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
gpt=${GPT:-mini-270m}
if [ "${1:-}" = --plan ]; then
  exec mas-fast train gpt "$gpt" "$@"
fi
[ $# -ge 2 ] || { sed -n '2,/^set/p' "$0" | sed '$d' >&2; exit 2; }
out=$1
shift
mkdir -p "$out"
bundle=$out/bundle
workers=${WORKERS:-$(nproc)}

step() { printf '\n== %s\n' "$*" >&2; }

if ! ls "$out"/pairs/*.tar >/dev/null 2>&1; then
  step pairs
  for list in "$@"; do
    python3 -c 'import sys; from mas_fast.data.download import run; run(*sys.argv[1:3], size=int(sys.argv[3]))' \
      "$list" "$out/download/$(basename "$list" .tsv)" "${SIZE:-256}"
  done
  rm -rf "$out/pairs.new"
  mkdir "$out/pairs.new"
  for tar in "$out"/download/*/*.tar; do
    ln "$tar" "$out/pairs.new/$(basename "$(dirname "$tar")")-$(basename "$tar")"
  done
  mv "$out/pairs.new" "$out/pairs"
fi

if [ ! -f "$bundle/tokenizer.json" ]; then
  step captions
  mas-fast train bpe "$@" -o "$bundle" --vocab-size "${VOCAB:-16384}" --length "${LENGTH:-64}"
fi

step scenes
annotators=()
if [ -n "${ANNOTATORS:-}" ]; then
  while IFS= read -r line; do
    [ -z "$line" ] || annotators+=(--annotator "$line")
  done <"$ANNOTATORS"
fi
mas-fast data prepare "$out/pairs" -o "$out/scenes" --size "${SIZE:-256}" --workers "$workers" \
  ${annotators[@]+"${annotators[@]}"}
mas-fast data report "$out/scenes"

step vq-seg
${LAUNCH:-} mas-fast train vq-seg "${VQ_SEG:-$here/vq-seg.yaml}" --data "$out/scenes" \
  --folder "$out/vq-seg" --output "$bundle"

step vq-img
if [ -n "${VQ_IMG:-}" ]; then
  ${LAUNCH:-} mas-fast train vq-img "$VQ_IMG" --data "$out/scenes" --folder "$out/vq-img" \
    --output "$bundle"
elif [ -n "${MINDALLE:-}" ]; then
  [ -f "$bundle/vq_img.safetensors" ] ||
    mas-fast import "$MINDALLE/stage1_last.ckpt" --config "$MINDALLE/config.yaml" -o "$bundle"
else
  echo "run.sh: set MINDALLE to minDALL-E's unpacked folder, or VQ_IMG to a config" >&2
  exit 1
fi

step tokens
mas-fast data tokenize "$out/scenes" --bundle "$bundle" -o "$out/tokens" \
  --device "${DEVICE:-cpu}" --workers "$workers"

step gpt
${LAUNCH:-} mas-fast train gpt "$gpt" --data "$out/tokens" --bundle "$bundle" \
  --folder "$out/gpt" --output "$bundle"
