from facekit.compute.machine import find_device
from facekit.errors import DataError
from facekit.options import Options, option
from facekit.registry import Registry
from facekit.storage.tables import read as read_table
from facekit.storage.tables import write as write_table

__all__ = ["DataError", "Options", "Registry", "find_device", "option", "read_table", "write_table"]
