rule synth_each:
    input:
        network=gan("network-chosen.safetensors"),
        deficits=of_round("deficits.csv"),
    output:
        images=synth("images.npy"),
        meta=synth("images.json"),
        candidates=synth("candidates.parquet"),
    log:
        of_round("logs/synth.log"),
    threads: threads_of(RUN.settings.rounds)
    resources:
        gpu=gpu,
    params:
        options=options("synth"),
        harmless=harmless("synth"),
        seed=RUN.round_seed,
        code=code("stylegan2 synth"),
    shell:
        "stylegan2 synth --network {input.network} --deficits {input.deficits}"
        " --images {output.images} --samples {output.candidates} {params.options}"
        " {params.harmless} --threads {threads} --seed {params.seed} 2> {log}"


rule filter_each:
    input:
        teachers=RUN.teachers(),
        candidates=synth("candidates.parquet"),
        images=synth("images.npy"),
        meta=synth("images.json"),
        train_images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=of_round("splits.parquet"),
        deficits=of_round("deficits.csv"),
    output:
        samples=synth("samples.parquet"),
        doses=synth("doses.csv"),
        facts=synth("filter.json"),
    log:
        of_round("logs/filter.log"),
    threads: threads_of(RUN.settings.rounds)
    resources:
        gpu=gpu,
    params:
        options=options("filter"),
        harmless=harmless("filter"),
        seed=RUN.round_seed,
        code=code("classifiers filter"),
    shell:
        "classifiers filter $(printf -- '--teacher %s ' {input.teachers})"
        " --candidates {input.candidates} --images {input.images}"
        " --train-images {input.train_images} --curated {input.curated} --splits {input.splits}"
        " --deficits {input.deficits} --samples {output.samples} --doses {output.doses}"
        " --facts {output.facts} {params.options} {params.harmless} --seed {params.seed}"
        " --threads {threads} 2> {log}"
