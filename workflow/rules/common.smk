# What the rules ask, by short names; the answers are evenface/workflow.py's.

from evenface.workflow import (
    file_option,
    fold_option,
    folder_of,
    literal,
    named_stage,
    num_gpus,
    read_run,
    share_of_cores,
    synth_options,
    tell_data_set,
    typed_again,
)

RUN = read_run(config, workflow)
tell_data_set(RUN, config, workflow)
results, of_round, gan, synth = RUN.results, RUN.of_round, RUN.gan, RUN.synth
external = RUN.outside
options, harmless, code = literal(RUN.options), RUN.harmless, RUN.code
root, ingest_settings = literal(RUN.root), literal(RUN.ingest_settings)
pictures_root = literal(RUN.pictures_root)
derived = literal(RUN.derived)
gpu, threads_of = num_gpus(workflow), share_of_cores(workflow)
