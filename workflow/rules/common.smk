# What the rules ask, by short names; the answers are evenface/workflow.py's.

from evenface.workflow import (
    file_option,
    fold_option,
    folder_of,
    literal,
    read_run,
    synth_options,
)

RUN = read_run(config)
results, gan, synth = RUN.results, RUN.gan, RUN.synth
options, harmless, code = literal(RUN.options), RUN.harmless, RUN.code
root, ingest_settings = literal(RUN.root), literal(RUN.ingest_settings)
derived = literal(RUN.derived)
