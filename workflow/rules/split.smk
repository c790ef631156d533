rule split:
    input:
        curated=results("curated.parquet"),
        inspection=results("inspection.parquet"),
    output:
        splits=results("splits.parquet"),
        check=results("split_check.json"),
    log:
        results("logs/split.log"),
    params:
        train=setting("split/train"),
        stratify=setting("split/stratify"),
        balance=setting("split/balance"),
        official=setting("split/official"),
        folds=setting("split/folds"),
        seed=setting("seed"),
        code=code_digest("facedata split"),
    shell:
        "facedata split --curated {input.curated} --inspection {input.inspection}"
        " --train {params.train} --stratify {params.stratify:q}"
        " --balance {params.balance} --official {params.official} --folds {params.folds} --seed {params.seed}"
        " --splits {output.splits} --check {output.check} 2> {log}"


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
        derived=derived_attributes(),
        outdir=folder_of("summary"),
        code=code_digest("facedata eda"),
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
        condition=setting("gan/condition"),
        code=code_digest("facedata pack"),
    shell:
        "facedata pack --curated {input.curated} --splits {input.splits}"
        " --inspection {input.inspection} --images {input.images} --split train"
        " --condition {params.condition:q} --pack {output.images} 2> {log}"


# Images that the GAN never sees: how near are they to those of train?
rule pack_val:
    input:
        curated=results("curated.parquet"),
        splits=results("splits.parquet"),
        inspection=results("inspection.parquet"),
        images=results("images/gan.npy"),
    output:
        images=results("packs/val.npy"),
        table=results("packs/val.parquet"),
        meta=results("packs/val.json"),
    log:
        results("logs/pack_val.log"),
    params:
        condition=setting("gan/condition"),
        code=code_digest("facedata pack"),
    shell:
        "facedata pack --curated {input.curated} --splits {input.splits}"
        " --inspection {input.inspection} --images {input.images} --split val"
        " --condition {params.condition:q} --pack {output.images} 2> {log}"


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
        minority_below=setting("synth/minority_below"),
        code=code_digest("facedata deficits"),
    shell:
        "facedata deficits --pack {input.pack} --minority-below {params.minority_below}"
        " --deficits {output.deficits} 2> {log}"
