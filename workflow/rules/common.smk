# What the rules ask, by short names; the answers are evenface/workflow.py's.

from evenface.workflow import (
    file_option,
    fold_option,
    folder_of,
    read_run,
    synth_options,
)

RUN = read_run(config)
results, gan, synth = RUN.results, RUN.gan, RUN.synth
options, harmless, code = RUN.options, RUN.harmless, RUN.code
