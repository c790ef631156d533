"""What a folder of photographs is, told by what lies in it: layout, tables, columns."""
