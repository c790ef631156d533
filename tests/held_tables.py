"""Tables that commands wrote, held against what is declared of them."""

from facekit.storage import tables


def hold(path, declared):
    """Check names, order and dtypes of a table's columns; return it."""
    table = tables.read(path, declared)
    names = [name for name in table if (one := declared.find(name)) and not one.is_pattern]
    assert names == [name for name in declared.names if name in {*names, *declared.needed}], path
    if not declared.more:
        assert [name for name in table if declared.find(name) is None] == [], path
    for name, dtype in declared.dtypes(table).items():
        found = table[name].dtype
        # A file may hold whole numbers that never lack where others of its kind can.
        assert found == dtype or (dtype, found) == ("Int64", "int64"), (path, name)
    return table


def paths_of(root, declared):
    """Return the files of a declared table in the results of a run."""
    pattern = declared.name
    for part in ("<run>", "<task>", "<arm>", "<n>"):
        pattern = pattern.replace(part, "*")
    return sorted(root.glob(pattern))
