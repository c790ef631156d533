rule synth:
    input:
        network=gan("network-chosen.safetensors"),
        deficits=results("deficits.csv"),
    output:
        images=synth("images.npy"),
        meta=synth("images.json"),
        candidates=synth("candidates.parquet"),
    log:
        results("logs/synth.log"),
    threads: 8
    resources:
        gpu=1,
    params:
        options=options("synth"),
        harmless=harmless("synth"),
        seed=RUN.settings.seed,
        code=code("stylegan2 synth"),
    shell:
        "stylegan2 synth --network {input.network} --deficits {input.deficits}"
        " --images {output.images} --samples {output.candidates} {params.options}"
        " {params.harmless} --threads {threads} --seed {params.seed} 2> {log}"


rule filter:
    input:
        teacher=RUN.teacher(),
        candidates=synth("candidates.parquet"),
        images=synth("images.npy"),
        meta=synth("images.json"),
        train_images=results("images/classifier.npy"),
        curated=results("curated.parquet"),
        splits=results("splits.parquet"),
        deficits=results("deficits.csv"),
    output:
        samples=synth("samples.parquet"),
    log:
        results("logs/filter.log"),
    threads: 8
    resources:
        gpu=1,
    params:
        options=options("filter"),
        harmless=harmless("filter"),
        code=code("classifiers filter"),
    shell:
        "classifiers filter --teacher {input.teacher} --candidates {input.candidates}"
        " --images {input.images} --train-images {input.train_images} --curated {input.curated}"
        " --splits {input.splits} --deficits {input.deficits} --samples {output.samples}"
        " {params.options} {params.harmless} --threads {threads} 2> {log}"
