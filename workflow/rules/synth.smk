rule synth:
    input:
        network=gan("network-final.safetensors"),
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
        oversample=setting("synth/oversample"),
        trunc=setting("synth/trunc"),
        batch=setting("synth/batch"),
        seed=setting("seed"),
        code=code_digest("stylegan2 synth"),
    shell:
        "stylegan2 synth --network {input.network} --deficits {input.deficits}"
        " --oversample {params.oversample} --trunc {params.trunc} --batch {params.batch}"
        " --threads {threads} --seed {params.seed} --images {output.images}"
        " --samples {output.candidates} 2> {log}"


rule filter:
    input:
        teacher=teacher(),
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
        min_probability=setting("synth/min_probability"),
        max_similarity=setting("synth/max_similarity"),
        batch=setting("evaluate/batch"),
        code=code_digest("classifiers filter"),
    shell:
        "classifiers filter --teacher {input.teacher} --candidates {input.candidates}"
        " --images {input.images} --train-images {input.train_images} --curated {input.curated}"
        " --splits {input.splits} --deficits {input.deficits}"
        " --min-probability {params.min_probability} --max-similarity {params.max_similarity}"
        " --batch {params.batch} --threads {threads} --samples {output.samples} 2> {log}"
