"""Draw a graph in the dot language as SVG, with the Graphviz that pygraphviz brings along.

`snakemake --rulegraph dot | python -m evenface.dag results/dag.svg`
"""

import sys
from pathlib import Path

from facekit.storage.files import write_bytes


def draw(dot: str, path: Path) -> None:
    """Lay out a dot graph and write it as SVG.

    Args:
        dot: text that holds one `digraph`; lines before it are left out.
        path: the `.svg` file.
    """
    import pygraphviz

    graph = pygraphviz.AGraph(string=dot[dot.index("digraph") :])
    write_bytes(graph.draw(prog="dot", format="svg"), path)


if __name__ == "__main__":
    draw(sys.stdin.read(), Path(sys.argv[1]))
    print(f"Drawn: {sys.argv[1]}")
