# A stage with a job for each round, or more, by its name: `snakemake gan`, `snakemake -f gan`.

for stage, files in RUN.stages().items():

    rule:
        name:
            stage
        input:
            named_stage(workflow, stage, files),
