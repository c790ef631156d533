rule split:
    input:
        curated=results("curated.parquet"),
        inspection=results("inspection.parquet"),
    output:
        splits=results("splits.parquet"),
    log:
        results("logs/split.log"),
    params:
        options=options("split"),
        seed=RUN.settings.seed,
        code=code("facedata split"),
    shell:
        "facedata split --curated {input.curated} --inspection {input.inspection}"
        " --splits {output.splits} {params.options} --seed {params.seed} 2> {log}"


# Words about the split, apart from it: other words train no network again.
rule split_check:
    input:
        curated=results("curated.parquet"),
        inspection=results("inspection.parquet"),
        splits=results("splits.parquet"),
    output:
        check=results("split_check.json"),
        summary=results("splits_summary.csv"),
    log:
        results("logs/split_check.log"),
    params:
        options=options("split_check"),
        code=code("facedata split-check"),
    shell:
        "facedata split-check --curated {input.curated} --inspection {input.inspection}"
        " --splits {input.splits} --check {output.check} --summary {output.summary}"
        " {params.options} 2> {log}"


rule eda:
    input:
        index=results("index.parquet"),
        inspection=results("inspection.parquet"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
        curated=results("curated.parquet"),
        dropped=results("dropped.csv"),
        splits=results("splits.parquet"),
        images=results("images/classifier.npy"),
    output:
        summary=results("eda/summary.json"),
        classes=report(
            results("eda/classes.svg"),
            caption="../report/classes.rst",
            category="Data",
        ),
    log:
        results("logs/eda.log"),
    params:
        derived=derived(),
        outdir=folder_of("summary"),
        code=code("facedata eda"),
    shell:
        "facedata eda --index {input.index} --inspection {input.inspection} --faces {input.faces}"
        " --duplicates {input.duplicates} --curated {input.curated} --dropped {input.dropped}"
        " --splits {input.splits} --derived {params.derived:q} --images {input.images}"
        " --outdir {params.outdir} 2> {log}"


rule pack:
    input:
        curated=results("curated.parquet"),
        splits=results("splits.parquet"),
        inspection=results("inspection.parquet"),
        images=results("images/gan.npy"),
    output:
        images=results("packs/train.npy"),
        table=results("packs/train.parquet"),
        meta=results("packs/train.json"),
    log:
        results("logs/pack.log"),
    params:
        split="train",
        options=options("pack"),
        code=code("facedata pack"),
    shell:
        "facedata pack --curated {input.curated} --splits {input.splits}"
        " --inspection {input.inspection} --images {input.images} --split {params.split}"
        " --pack {output.images} {params.options} 2> {log}"


# Images that the GAN never sees: how near are they to those of train?
use rule pack as pack_val with:
    output:
        images=results("packs/val.npy"),
        table=results("packs/val.parquet"),
        meta=results("packs/val.json"),
    log:
        results("logs/pack_val.log"),
    params:
        split="val",
        options=options("pack"),
        code=code("facedata pack"),


rule deficits:
    input:
        pack=results("packs/train.npy"),
        table=results("packs/train.parquet"),
        meta=results("packs/train.json"),
    output:
        deficits=results("deficits.csv"),
    log:
        results("logs/deficits.log"),
    params:
        options=options("deficits"),
        code=code("facedata deficits"),
    shell:
        "facedata deficits --pack {input.pack} --deficits {output.deficits} {params.options}"
        " 2> {log}"
