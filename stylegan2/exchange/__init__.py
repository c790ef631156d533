"""From and to other programs: official pickles, archives, ONNX."""
