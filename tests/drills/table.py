"""Print the table of drills of the lines that `make drills` wrote: `table.py FILE`."""

import json
import sys
from collections import defaultdict
from pathlib import Path


def main(path: Path) -> None:
    """Print what was drilled, how often and in how many stages."""
    tries, stages = defaultdict(int), defaultdict(set)
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        tries[one["drill"]] += one["tries"]
        stages[one["drill"]].add(one["stage"])
    print("| drill | stages | tries, none with a loss |\n| --- | ---: | ---: |")
    for drill, num in tries.items():
        print(f"| {drill} | {len(stages[drill])} | {num} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
