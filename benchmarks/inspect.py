"""Time and memory of ingest, inspect and dedup beside decoding alone: runs inspection.py.

    python benchmarks/inspect.py --num-images 20000

The folder of a script comes first on Python's path, and in this folder this file would be found by
whoever imports the standard library's `inspect`. It makes way for it.
"""

import runpy
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
former_path = list(sys.path)
sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
if __name__ == "__main__":
    runpy.run_path(str(HERE / "inspection.py"), run_name="__main__")
else:
    del sys.modules[__name__]
    import_module("inspect")
    sys.path[:] = former_path
