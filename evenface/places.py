"""Where the pipeline lies: Snakefile, rules, configs and profiles."""

from pathlib import Path

# An installed package carries them in a folder of its own; in a clone they lie beside the packages.
PACKED = Path(__file__).parent / "pipeline"
PIPELINE = PACKED if PACKED.is_dir() else Path(__file__).parent.parent
SNAKEFILE = PIPELINE / "Snakefile"
DEMO_CONFIG = PIPELINE / "config/config.yaml"
PROFILES = PIPELINE / "profiles"
PROFILE = PROFILES / "default"
OWN_CONFIG = Path("evenface.yaml")  # that `evenface init` writes: taken where no config is said
