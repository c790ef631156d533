#!/usr/bin/env bash
# All that a GPU must show, in less than eight minutes: one table, FOLDER/table.md.
#
#     benchmarks/gpu_check.sh [--cpu] [FOLDER]       FOLDER: results/gpu_check
#
# Parts: the operators compile; tests marked `gpu` pass and none is skipped; seconds per 1000 images
# at 128 px in fp16 and fp32, with the memory that tensors took, beside the original's published
# figure; a run that was stopped and went on is the run that was not. Each has its own limit of
# seconds and its own log, FOLDER/PART.log. A part that fails is a row that says so, and the exit
# code is 1. With --cpu tiny versions of the same parts run on a CPU in less than a minute.
set -u
cd "$(dirname "$0")/.." || exit 2

device=cuda
if [ "${1:-}" = --cpu ]; then device=cpu; shift; fi
case "${1:-}" in -*) sed -n '2,4p' "$0" >&2; exit 2 ;; esac
if [ $# -gt 1 ]; then sed -n '2,4p' "$0" >&2; exit 2; fi
mkdir -p "${1:-results/gpu_check}" || exit 2
folder=$(cd "${1:-results/gpu_check}" && pwd)
table=$folder/table.md
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
num_failed=0

# part NAME SECONDS COMMAND...: run a part, add its row.
part() {
  local name=$1 limit=$2 log=$folder/$1.log start=$SECONDS code told
  shift 2
  timeout --kill-after=5 "$limit" "$@" >"$log" 2>&1
  code=$?
  told=$(sed -n 's/^result: //p' "$log" | tail -n 1)
  case $code in
    0) [ -n "$told" ] || { code=1; told="said nothing"; } ;;
    124 | 137) told="took more than $limit s" ;;
    *) told=$(grep -v '^[[:space:]]*$' "$log" | tail -n 1) ;;
  esac
  if [ "$code" = 0 ]; then code=passed; else code=FAILED; num_failed=$((num_failed + 1)); fi
  echo "| $name | $code | ${told//|/\/} | $((SECONDS - start)) |" >>"$table"
  tail -n 1 "$table" >&2
}

# Each run says what it ran on; a table that was there is begun anew.
{
  echo "# \`gpu_check.sh\`: $device"
  echo
  "$python" - "$device" <<'PYTHON'
import platform, sys
import torch

where = platform.processor() or platform.machine()
if sys.argv[1] == "cuda" and torch.cuda.is_available():
    one = torch.cuda.get_device_properties(0)
    where = f"{one.name}, {one.total_memory / 2**30:.0f} GiB, compute capability {one.major}.{one.minor}"
print(f"{where}; torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}")
PYTHON
  echo
  echo "| part | | | seconds |"
  echo "| --- | --- | --- | ---: |"
} >"$table"

parts=("$python" benchmarks/gpu_parts.py)
if [ "$device" = cuda ]; then
  part compile 170 "${parts[@]}" compile --anew
  part tests 100 "${parts[@]}" tests
  part fp16 55 "${parts[@]}" speed --precision fp16
  part fp32 65 "${parts[@]}" speed --precision fp32
  part resume 80 "${parts[@]}" resume
else
  # Seconds each on a quiet machine; the limits are for one that does something else, too.
  part compile 120 "${parts[@]}" compile --device cpu
  part tests 120 "${parts[@]}" tests --device cpu
  part bf16 120 "${parts[@]}" speed --device cpu --precision bf16
  part fp32 120 "${parts[@]}" speed --device cpu --precision fp32
  part resume 120 "${parts[@]}" resume --device cpu
fi
echo "$table" >&2
[ "$num_failed" = 0 ]
