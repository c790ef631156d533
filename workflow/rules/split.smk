# What lies in splits-kept.parquet stays where it is; it is undeclared, since outputs go before a job.
rule split_each:
    input:
        curated=results("curated.parquet"),
        inspection=results("inspection.parquet"),
        tested=RUN.splits_before,
    output:
        splits=of_round("splits.parquet"),
        deals=of_round("splits.json"),
    log:
        of_round("logs/split.log"),
    params:
        kept=of_round("splits-kept.parquet"),
        options=options("split"),
        seed=RUN.settings.seed,
        code=code("facedata split"),
    shell:
        "facedata split --curated {input.curated} --inspection {input.inspection}"
        " $(for one in {input.tested}; do echo --tested $one; done)"
        " --kept {params.kept} --splits {output.splits} --deals {output.deals}"
        " {params.options} --seed {params.seed} --round {wildcards.round} 2> {log}"


# Words about the split, apart from it: other words train no network again.
rule split_check_each:
    input:
        curated=results("curated.parquet"),
        inspection=results("inspection.parquet"),
        splits=of_round("splits.parquet"),
        deals=of_round("splits.json"),
        thumbs=results("images/thumbs.npy"),
        index=results("index.parquet"),
        duplicates=results("duplicates.parquet"),
        dropped=results("dropped.csv"),
    output:
        check=of_round("split_check.json"),
        summary=of_round("splits_summary.csv"),
    log:
        of_round("logs/split_check.log"),
    threads: threads_of(RUN.settings.rounds)
    params:
        options=options("split_check"),
        code=code("facedata split-check"),
    shell:
        "facedata split-check --curated {input.curated} --inspection {input.inspection}"
        " --splits {input.splits} --deals {input.deals} --index {input.index}"
        " --duplicates {input.duplicates} --dropped {input.dropped} --check {output.check} --summary {output.summary}"
        " --thumbs {input.thumbs} --workers {threads} {params.options} 2> {log}"


rule eda:
    input:
        index=results("index.parquet"),
        inspection=results("inspection.parquet"),
        faces=results("faces.parquet"),
        duplicates=results("duplicates.parquet"),
        curated=results("curated.parquet"),
        dropped=results("dropped.csv"),
        splits=RUN.first_round("splits.parquet"),
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


rule pack_each:
    input:
        curated=results("curated.parquet"),
        splits=of_round("splits.parquet"),
        checked=ancient(of_round("split_check.json")),  # nothing learns from a split that leaks
        inspection=results("inspection.parquet"),
        images=results("images/gan.npy"),
    output:
        images=of_round("packs/train.npy"),
        table=of_round("packs/train.parquet"),
        meta=of_round("packs/train.json"),
    log:
        of_round("logs/pack.log"),
    params:
        split="train",
        options=options("pack"),
        code=code("facedata pack"),
    shell:
        "facedata pack --curated {input.curated} --splits {input.splits}"
        " --inspection {input.inspection} --images {input.images} --split {params.split}"
        " --pack {output.images} {params.options} 2> {log}"


# Images that the GAN never sees: how near are they to those of train?
use rule pack_each as pack_val_each with:
    output:
        images=of_round("packs/val.npy"),
        table=of_round("packs/val.parquet"),
        meta=of_round("packs/val.json"),
    log:
        of_round("logs/pack_val.log"),
    params:
        split="val",
        options=options("pack"),
        code=code("facedata pack"),


rule deficits_each:
    input:
        pack=of_round("packs/train.npy"),
        table=of_round("packs/train.parquet"),
        meta=of_round("packs/train.json"),
    output:
        deficits=of_round("deficits.csv"),
    log:
        of_round("logs/deficits.log"),
    params:
        options=options("deficits"),
        code=code("facedata deficits"),
    shell:
        "facedata deficits --pack {input.pack} --deficits {output.deficits} {params.options}"
        " 2> {log}"
